// gosnmp.go ADDRESS USER AUTH-PASSWORD PRIV-PASSWORD COMMUNITY: walks an agent by GETBULK and by
// GETNEXT over SNMPv3 and SNMPv2c, sets sysContact.0 over SNMPv3 and reads it back. Prints the
// number of objects.
package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/gosnmp/gosnmp"
)

const root = ".1.3.6.1"
const contact = ".1.3.6.1.2.1.1.4.0"

func check(err error, what string) {
	if err != nil {
		fmt.Fprintln(os.Stderr, what+":", err)
		os.Exit(1)
	}
}

func walk(client *gosnmp.GoSNMP, what string) int {
	bulk, err := client.BulkWalkAll(root)
	check(err, what+" GETBULK")
	single, err := client.WalkAll(root)
	check(err, what+" GETNEXT")
	if len(bulk) != len(single) {
		check(fmt.Errorf("%d and %d objects", len(bulk), len(single)), what)
	}
	for i := range bulk {
		if bulk[i].Name != single[i].Name {
			check(fmt.Errorf("%s and %s", bulk[i].Name, single[i].Name), what)
		}
	}
	return len(bulk)
}

func main() {
	host, text, err := net.SplitHostPort(os.Args[1])
	check(err, "address")
	port, err := strconv.Atoi(text)
	check(err, "port")
	v2c := &gosnmp.GoSNMP{
		Target: host, Port: uint16(port), Version: gosnmp.Version2c, Community: os.Args[5],
		Timeout: 3 * time.Second, Retries: 1, MaxRepetitions: 20,
	}
	v3 := &gosnmp.GoSNMP{
		Target: host, Port: uint16(port), Version: gosnmp.Version3, Timeout: 3 * time.Second,
		Retries: 1, MaxRepetitions: 20, SecurityModel: gosnmp.UserSecurityModel,
		MsgFlags: gosnmp.AuthPriv,
		SecurityParameters: &gosnmp.UsmSecurityParameters{
			UserName:                 os.Args[2],
			AuthenticationProtocol:   gosnmp.SHA256,
			AuthenticationPassphrase: os.Args[3],
			PrivacyProtocol:          gosnmp.AES,
			PrivacyPassphrase:        os.Args[4],
		},
	}
	check(v2c.Connect(), "SNMPv2c")
	check(v3.Connect(), "SNMPv3")
	count := walk(v3, "SNMPv3")
	if open := walk(v2c, "SNMPv2c"); open != count {
		check(fmt.Errorf("%d objects over SNMPv3, %d over SNMPv2c", count, open), "walks")
	}
	set := gosnmp.SnmpPDU{Name: contact, Type: gosnmp.OctetString, Value: "gosnmp@example"}
	answer, err := v3.Set([]gosnmp.SnmpPDU{set})
	check(err, "SET")
	if answer.Error != gosnmp.NoError {
		check(fmt.Errorf("error-status %d", answer.Error), "SET")
	}
	read, err := v3.Get([]string{contact})
	check(err, "GET")
	if value, ok := read.Variables[0].Value.([]byte); !ok || string(value) != "gosnmp@example" {
		check(fmt.Errorf("%v", read.Variables[0].Value), "read back")
	}
	fmt.Println(count)
}
