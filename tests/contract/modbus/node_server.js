// A Modbus TCP server made of jsmodbus or of modbus-serial, whichever is named; both share nothing with ours.
//
//     node node_server.js jsmodbus|modbus-serial        prints its port; packages are looked for in NODE_PATH
//
// Holding register a holds a, input register a 1000 + a, coil a is on when 3 divides a, discrete input a when 2 does;
// 200 of each. Writes are taken. Ends with its standard input.
"use strict";
const net = require("net");
const COUNT = 200;
process.stdin.resume().on("end", () => process.exit(0));

function jsmodbus() {
  const modbus = require("jsmodbus");
  const numbers = (first) => {
    const out = Buffer.alloc(2 * COUNT);
    for (let a = 0; a < COUNT; a++) out.writeUInt16BE(first + a, 2 * a);
    return out;
  };
  const bits = (by) => {
    const out = Buffer.alloc(Math.ceil(COUNT / 8));
    for (let a = 0; a < COUNT; a++) if (a % by === 0) out[a >> 3] |= 1 << (a & 7);
    return out;
  };
  const server = new net.Server();
  new modbus.server.TCP(server, { holding: numbers(0), input: numbers(1000), coils: bits(3), discrete: bits(2) });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
}

function modbusSerial() {
  const { ServerTCP } = require("modbus-serial");
  const held = Array.from({ length: COUNT }, (_, a) => a);
  const coils = Array.from({ length: COUNT }, (_, a) => a % 3 === 0);
  const known = (table) => (a) => {
    if (a >= COUNT) throw { modbusErrorCode: 2 };
    return table(a);
  };
  const vector = {
    getHoldingRegister: known((a) => held[a]),
    getInputRegister: known((a) => 1000 + a),
    getCoil: known((a) => coils[a]),
    getDiscreteInput: known((a) => a % 2 === 0),
    setRegister: (a, value) => void (held[a] = value),
    setCoil: (a, on) => void (coils[a] = on),
  };
  const server = new ServerTCP(vector, { host: "127.0.0.1", port: 0, unitID: 1 });
  server.on("initialized", () => console.log(server._server.address().port));
}

(process.argv[2] === "jsmodbus" ? jsmodbus : modbusSerial)();
