// A meter on node-opcua (npm), for our client to find, read, watch and write: node node_opcua_server.js PKI_DIR COUNT PERIOD_MS
// Prints "port N" when it listens. COUNT more variables v0000… change every PERIOD_MS.
"use strict";
const path = require("node:path");
const { OPCUAServer } = require("node-opcua-server");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { DataType, Variant } = require("node-opcua-variant");

const [pki, count, periodMs] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

async function main() {
  const server = new OPCUAServer({
    port: 0,
    hostname: "127.0.0.1",
    alternateHostname: ["127.0.0.1"],
    serverCertificateManager: new OPCUACertificateManager({ rootFolder: path.join(pki, "pki"), automaticallyAcceptUnknownCertificate: true }),
    userCertificateManager: new OPCUACertificateManager({ rootFolder: path.join(pki, "user") }),
    serverCapabilities: { operationLimits: { maxNodesPerRead: 100, maxNodesPerTranslateBrowsePathsToNodeIds: 7, maxMonitoredItemsPerCall: 30 } },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const spare = space.registerNamespace("urn:maker:spare");
  const namespace = space.registerNamespace("urn:maker:meter");
  spare.addFolder("ObjectsFolder", { browseName: "Spare" });
  const meter = namespace.addObject({ organizedBy: space.rootFolder.objects, browseName: "Meter" });
  const add = (browseName, value, writable) => {
    const variable = namespace.addVariable({
      componentOf: meter,
      browseName,
      dataType: "Double",
      accessLevel: writable ? "CurrentRead | CurrentWrite" : "CurrentRead",
      userAccessLevel: writable ? "CurrentRead | CurrentWrite" : "CurrentRead",
    });
    variable.setValueFromSource(new Variant({ dataType: DataType.Double, value }));
    return variable;
  };
  add("p_w", 50);
  add("u_v", 230);
  add("i_a", 7);
  add("limit_w", 900, true);
  const many = Array.from({ length: count }, (_, at) => add(`v${String(at).padStart(4, "0")}`, at));
  let turn = 0;
  if (count) {
    setInterval(() => {
      turn += 1;
      many.forEach((variable, at) => variable.setValueFromSource(new Variant({ dataType: DataType.Double, value: at + 1000 * turn })));
    }, periodMs);
  }
  await server.start();
  console.log(`port ${server.endpoints[0].port}`);
}

main().catch((error) => { console.error(error); process.exit(1); });
