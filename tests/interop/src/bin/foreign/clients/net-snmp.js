// net-snmp.js ADDRESS USER AUTH-PASSWORD PRIV-PASSWORD COMMUNITY: walks an agent over SNMPv3 and
// SNMPv2c with npm's net-snmp, sets sysContact.0 over SNMPv3 and reads it back. Prints the number
// of objects.
const snmp = require('net-snmp');

const [address, user, auth, privacy, community] = process.argv.slice(2);
const [host, port] = address.split(':');
const options = { port: Number(port), timeout: 3000, retries: 1 };
const contact = '1.3.6.1.2.1.1.4.0';

function count(session, rows) {
    return new Promise((resolve, reject) => {
        let objects = 0;
        session.subtree('1.3.6.1', rows, (varbinds) => {
            for (const varbind of varbinds) {
                if (snmp.isVarbindError(varbind)) {
                    return reject(new Error(snmp.varbindError(varbind)));
                }
                objects += 1;
            }
        }, (error) => (error ? reject(error) : resolve(objects)));
    });
}

function ask(call) {
    return new Promise((resolve, reject) => {
        call((error, varbinds) => (error ? reject(error) : resolve(varbinds)));
    });
}

async function main() {
    const v3 = snmp.createV3Session(host, {
        name: user,
        level: snmp.SecurityLevel.authPriv,
        authProtocol: snmp.AuthProtocols.sha256,
        authKey: auth,
        privProtocol: snmp.PrivProtocols.aes,
        privKey: privacy,
    }, options);
    const v2c = snmp.createSession(host, community, { ...options, version: snmp.Version2c });
    const objects = await count(v3, 20);
    const open = await count(v2c, 20);
    if (objects !== open) {
        throw new Error(`${objects} objects over SNMPv3, ${open} over SNMPv2c`);
    }
    const set = [{ oid: contact, type: snmp.ObjectType.OctetString, value: 'npm@example' }];
    await ask((done) => v3.set(set, done));
    const [read] = await ask((done) => v3.get([contact], done));
    if (String(read.value) !== 'npm@example') {
        throw new Error(`read back ${read.value}`);
    }
    v3.close();
    v2c.close();
    console.log(objects);
}

main().catch((error) => {
    console.error(error.message);
    process.exit(1);
});
