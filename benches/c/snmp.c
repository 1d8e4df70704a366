/* net-snmp's C library as a client: snmp v2c|v3 PORT OID COUNT IN_FLIGHT; prints GETs per second.
   v2c: community public; v3: user bench, SHA-256 authpassword, AES privpassword. cc -O2 snmp.c -o snmp -lnetsnmp */
#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static oid name[MAX_OID_LEN];
static size_t name_length = MAX_OID_LEN;
static long done, sent, total, errors;
static void *handle;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}
static int answered(int op, netsnmp_session *s, int id, netsnmp_pdu *pdu, void *magic);
static void ask(void) {
    netsnmp_pdu *pdu = snmp_pdu_create(SNMP_MSG_GET);
    snmp_add_null_var(pdu, name, name_length);
    if (!snmp_sess_async_send(handle, pdu, answered, 0)) {
        errors++;
        snmp_free_pdu(pdu);
    }
    sent++;
}
static int answered(int op, netsnmp_session *s, int id, netsnmp_pdu *pdu, void *magic) {
    (void)s, (void)id, (void)pdu, (void)magic;
    if (op != NETSNMP_CALLBACK_OP_RECEIVED_MESSAGE) errors++;
    done++;
    if (sent < total) ask();
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 6) return 2;
    static oid sha256[] = {1, 3, 6, 1, 6, 3, 10, 1, 1, 5}, aes[] = {1, 3, 6, 1, 6, 3, 10, 1, 2, 4};
    char peer[64];
    setenv("MIBS", "", 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
    netsnmp_set_mib_directory("");
    init_snmp("bench");
    netsnmp_session session, *opened;
    snmp_sess_init(&session);
    snprintf(peer, sizeof peer, "127.0.0.1:%s", argv[2]);
    session.peername = peer;
    session.timeout = 2000000;
    if (!strcmp(argv[1], "v3")) {
        session.version = SNMP_VERSION_3;
        session.securityName = strdup("bench");
        session.securityNameLen = 5;
        session.securityLevel = SNMP_SEC_LEVEL_AUTHPRIV;
        session.securityAuthProto = sha256;
        session.securityAuthProtoLen = OID_LENGTH(sha256);
        session.securityAuthKeyLen = USM_AUTH_KU_LEN;
        session.securityPrivProto = aes;
        session.securityPrivProtoLen = OID_LENGTH(aes);
        session.securityPrivKeyLen = USM_PRIV_KU_LEN;
        if (generate_Ku(sha256, OID_LENGTH(sha256), (u_char *)"authpassword", 12, session.securityAuthKey, &session.securityAuthKeyLen)) return 3;
        if (generate_Ku(sha256, OID_LENGTH(sha256), (u_char *)"privpassword", 12, session.securityPrivKey, &session.securityPrivKeyLen)) return 3;
    } else {
        session.version = SNMP_VERSION_2c;
        session.community = (u_char *)"public";
        session.community_len = 6;
    }
    handle = snmp_sess_open(&session);
    if (!handle || !read_objid(argv[3], name, &name_length)) return 4;
    opened = snmp_sess_session(handle);
    (void)opened;
    total = atol(argv[4]);
    int in_flight = atoi(argv[5]);
    double begun = now();
    if (in_flight <= 1) {
        for (long i = 0; i < total; i++) {
            netsnmp_pdu *pdu = snmp_pdu_create(SNMP_MSG_GET), *reply = 0;
            snmp_add_null_var(pdu, name, name_length);
            if (snmp_sess_synch_response(handle, pdu, &reply) != STAT_SUCCESS) errors++;
            if (reply) snmp_free_pdu(reply);
        }
    } else {
        for (int i = 0; i < in_flight && sent < total; i++) ask();
        while (done < total) {
            fd_set set;
            int n = 0, block = 0;
            struct timeval wait = {1, 0};
            FD_ZERO(&set);
            snmp_sess_select_info(handle, &n, &set, &wait, &block);
            if (select(n, &set, 0, 0, &wait) > 0) snmp_sess_read(handle, &set);
            else snmp_sess_timeout(handle);
        }
    }
    printf("%.0f\n", total / (now() - begun));
    return errors ? 5 : 0;
}
