// net-snmp.js ADDRESS USER AUTH-PASSWORD PRIV-PASSWORD COMMUNITY [CHANGES]: walks an agent over
// SNMPv3 and SNMPv2c with npm's net-snmp, sets sysContact.0 over SNMPv3 and reads it back. CHANGES,
// in JSON, are a SET, a SET that is refused with an error-status, and what is read then. Prints the
// number of objects.
const snmp = require('net-snmp');

const [address, user, auth, privacy, community, changes] = process.argv.slice(2);
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

async function change(v3, { set, refused, status, read }) {
    const typed = (binds) => binds.map((b) => ({ ...b, type: snmp.ObjectType[b.type] }));
    if (set.length > 0) {
        await ask((done) => v3.set(typed(set), done));
    }
    const error = await ask((done) => v3.set(typed(refused), done)).then(() => null, (e) => e);
    if (!error || error.status !== status) {
        throw new Error(`a SET ended with ${error && (error.status || error.message)}, not ${status}`);
    }
    for (const [oid, value] of read) {
        const [bind] = await ask((done) => v3.get([oid], done));
        if (snmp.isVarbindError(bind) || String(bind.value) !== String(value)) {
            throw new Error(`${oid} reads as ${bind.value}, not ${value}`);
        }
    }
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
    if (changes) {
        await change(v3, JSON.parse(changes));
    }
    v3.close();
    v2c.close();
    console.log(objects);
}

main().catch((error) => {
    console.error(error.message);
    process.exit(1);
});
