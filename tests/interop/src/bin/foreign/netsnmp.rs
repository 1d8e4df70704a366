//! net-snmp's `snmpwalk`, `snmpget` and `snmpset` against our agents, over v3 authPriv.

pub(crate) fn run() -> Result<String, String> {
    Err("the agents are not there yet".to_owned())
}
