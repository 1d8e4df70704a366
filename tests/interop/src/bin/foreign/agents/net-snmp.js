// net-snmp.js PORT COMMUNITY FILE: serves the rows of a recorded walk with the agent of npm's
// net-snmp. FILE is JSON: [[oid, type, value]], octets as hexadecimal digits.
const fs = require('fs');
const snmp = require('net-snmp');

const [port, community, file] = process.argv.slice(2);
const types = {
    integer: snmp.ObjectType.Integer,
    octets: snmp.ObjectType.OctetString,
    oid: snmp.ObjectType.OID,
    address: snmp.ObjectType.IpAddress,
    counter: snmp.ObjectType.Counter,
    gauge: snmp.ObjectType.Gauge,
    ticks: snmp.ObjectType.TimeTicks,
    counter64: snmp.ObjectType.Counter64,
};

function decoded(type, value) {
    switch (type) {
    case 'octets':
        return Buffer.from(value, 'hex');
    case 'counter64': {
        const bytes = Buffer.alloc(8);
        bytes.writeBigUInt64BE(BigInt(value));
        return bytes;
    }
    case 'oid':
    case 'address':
        return value;
    default:
        return Number(value);
    }
}

const agent = snmp.createAgent({ port: Number(port), address: '127.0.0.1' }, (error) => {
    if (error) {
        console.error(error.message);
    }
});
agent.getAuthorizer().addCommunity(community);
const mib = agent.getMib();
// Nodes need a provider above them; the rows then hang below it as they were recorded.
const provider = {
    name: 'recorded',
    type: snmp.MibProviderType.Scalar,
    oid: '1',
    scalarType: snmp.ObjectType.Integer,
    maxAccess: snmp.MaxAccess['read-only'],
};
agent.registerProvider(provider);
mib.addProviderToNode(provider);
for (const [oid, type, value] of JSON.parse(fs.readFileSync(file, 'utf8'))) {
    const node = mib.addNodesForOid(oid);
    node.valueType = types[type];
    node.value = decoded(type, value);
}
