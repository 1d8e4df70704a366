# net_snmp.pl ADDRESS USER AUTH-PASSWORD PRIV-PASSWORD COMMUNITY: walks an agent by GETBULK over
# SNMPv2c with Perl's Net::SNMP, which has no SHA-256 for SNMPv3. Prints the number of objects.
use strict;
use warnings;
use Net::SNMP qw(oid_base_match oid_lex_cmp);

my ($address, $user, $auth, $privacy, $community) = @ARGV;
my ($host, $port) = $address =~ /^(.*):(\d+)$/ or die "address\n";
my ($session, $error) = Net::SNMP->session(
    -hostname => $host, -port => $port, -version => 'snmpv2c', -community => $community,
    -timeout => 3, -retries => 1, -maxmsgsize => 65507,
);
die "session: $error\n" unless $session;
my $table = $session->get_table(-baseoid => '.1.3.6.1', -maxrepetitions => 20);
die 'walk: ' . $session->error() . "\n" unless $table;
my $one = $session->get_request(-varbindlist => ['1.3.6.1.2.1.1.1.0', '1.3.6.1.2.1.1.99.0']);
die 'GET: ' . $session->error() . "\n" unless $one;
die "a missing object is not reported\n" unless $one->{'1.3.6.1.2.1.1.99.0'} =~ /noSuch/;
print scalar(keys %$table), "\n";
