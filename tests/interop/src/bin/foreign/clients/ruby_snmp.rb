# ruby_snmp.rb ADDRESS USER AUTH-PASSWORD PRIV-PASSWORD COMMUNITY: walks an agent over SNMPv2c by
# GETNEXT and by GETBULK with ruby-snmp, which has no SNMPv3. Prints the number of objects.
require 'snmp'

host, port = ARGV[0].split(':')
SNMP::Manager.open(host: host, port: port.to_i, community: ARGV[4], timeout: 3, retries: 1,
                   mib_modules: []) do |manager|
  names = []
  manager.walk('1.3.6.1') { |row| names << row.name.to_s }
  bulk = []
  at = SNMP::ObjectId.new('1.3.6.1')
  loop do
    rows = manager.get_bulk(0, 20, [at]).varbind_list
    ended = rows.find_index { |row| row.value == SNMP::EndOfMibView || !row.name.subtree_of?('1.3.6.1') }
    rows = rows[0...ended] if ended
    bulk.concat(rows.map { |row| row.name.to_s })
    break if ended || rows.empty?
    at = rows.last.name
  end
  abort "GETNEXT #{names.size}, GETBULK #{bulk.size} objects" unless names == bulk
  puts names.size
end
