// A Modbus server made of libmodbus (LGPL 2.1 or newer), an implementation that shares nothing with ours.
//
//     libmodbus_server tcp            listens on a free port of the loopback and prints it
//     libmodbus_server rtu DEVICE     serves unit 1 on a serial line (115200, no parity) and prints "ready"
//
// Holding register a holds a, input register a 1000 + a, coil a is on when 3 divides a, discrete input a when 2 does;
// 200 of each. Writes are taken. Ends with its standard input.
#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 200 };

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, modbus_strerror(errno));
    exit(1);
}

static modbus_mapping_t *image(void) {
    modbus_mapping_t *map = modbus_mapping_new(COUNT, COUNT, COUNT, COUNT);
    if (!map) fail("mapping");
    for (int a = 0; a < COUNT; a++) {
        map->tab_registers[a] = a;
        map->tab_input_registers[a] = 1000 + a;
        map->tab_bits[a] = a % 3 == 0;
        map->tab_input_bits[a] = a % 2 == 0;
    }
    return map;
}

static int said_goodbye(int other) {  // waits until there is something on `other`; true at the end of standard input
    struct pollfd both[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = other, .events = POLLIN}};
    return poll(both, 2, -1) < 0 || both[0].revents;
}

static void serve(modbus_t *context, modbus_mapping_t *map) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    while (!said_goodbye(modbus_get_socket(context))) {
        int size = modbus_receive(context, query);
        if (size < 0 && errno != EMBBADCRC && errno != ETIMEDOUT) return;
        if (size > 0) modbus_reply(context, query, size, map);
    }
    exit(0);
}

int main(int count, char **words) {
    modbus_mapping_t *map = image();
    if (count == 3 && !strcmp(words[1], "rtu")) {
        modbus_t *context = modbus_new_rtu(words[2], 115200, 'N', 8, 1);
        if (!context || modbus_set_slave(context, 1) || modbus_connect(context)) fail(words[2]);
        puts("ready");
        fflush(stdout);
        for (;;) serve(context, map);
    }
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    if (!context) fail("context");
    int listener = modbus_tcp_listen(context, 1);
    struct sockaddr_in where;
    socklen_t size = sizeof where;
    if (listener < 0 || getsockname(listener, (struct sockaddr *)&where, &size)) fail("listen");
    printf("%d\n", ntohs(where.sin_port));
    fflush(stdout);
    while (!said_goodbye(listener)) {
        if (modbus_tcp_accept(context, &listener) < 0) fail("accept");
        serve(context, map);
        modbus_close(context);
    }
    return 0;
}
