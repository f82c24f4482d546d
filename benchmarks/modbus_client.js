// One Node client of the Modbus measurement; modbus_poll.py starts it.
//
//     node modbus_client.js jsmodbus|modbus-serial PORT N ROUNDS
//
// N connections; a round polls each one once, decodes 30 float32 and checks them. Prints CPU microseconds per poll, and
// the median and the longest round in microseconds. The packages are looked for in NODE_PATH.
"use strict";
const net = require("net");
const [library, port, count, rounds] = [process.argv[2], ...process.argv.slice(3, 6).map(Number)];
const host = (n) => `127.0.${Math.floor((n + 1) / 256)}.${(n + 1) % 256}`;

function check(buffer) {
  for (let i = 0; i < 30; i++) {
    const value = buffer.readFloatBE(4 * i);
    if (!(value >= -1000 && value <= 1000)) throw new Error("an implausible value");
  }
  if (buffer.readFloatBE(116) !== 29) throw new Error("a wrong value");
}

async function jsmodbus(n) {
  const modbus = require("jsmodbus");
  const socket = new net.Socket();
  const client = new modbus.client.TCP(socket, 1);
  await new Promise((resolve) => socket.connect({ host: host(n), port }, resolve));
  socket.setNoDelay(true);
  return async () => check((await client.readHoldingRegisters(0, 60)).response.body.valuesAsBuffer);
}

async function modbusSerial(n) {
  const ModbusRTU = require("modbus-serial");
  const client = new ModbusRTU();
  await client.connectTCP(host(n), { port });
  client.setID(1);
  return async () => check((await client.readHoldingRegisters(0, 60)).buffer);
}

(async () => {
  const open = library === "jsmodbus" ? jsmodbus : modbusSerial;
  const polls = [];
  for (let n = 0; n < count; n++) polls.push(await open(n));
  const laps = [];
  await Promise.all(polls.map((poll) => poll()));
  const began = process.cpuUsage();
  for (let i = 0; i < rounds; i++) {
    const start = process.hrtime.bigint();
    await Promise.all(polls.map((poll) => poll()));
    laps.push(Number(process.hrtime.bigint() - start) / 1e3);
  }
  const used = process.cpuUsage(began);
  laps.sort((a, b) => a - b);
  const each = (used.user + used.system) / rounds / count;
  console.log(`${each.toFixed(3)} ${laps[rounds >> 1].toFixed(1)} ${laps[rounds - 1].toFixed(1)}`);
  process.exit(0);
})();
