#!/bin/sh
# May this engineer read this data now? Prints the answer, and ends with 0 for an allow alone.
#   CONSENTRY_TOKEN=... examples/may-read.sh http://127.0.0.1:8620 vendor/ada fabrikam/signInLogs SR-1
#   examples/may-read.sh /run/consentry.sock vendor/ada fabrikam/signInLogs SR-1
# The arguments go into JSON as they are: they are identifiers, and hold no quotes.
set -eu
where=$1 engineer=$2 resource=$3 support_request=$4

set -- --silent --show-error --fail-with-body --max-time 2 --header 'Content-Type: application/json'
case $where in
  http*) set -- "$@" --header "Authorization: Bearer $CONSENTRY_TOKEN" "$where/access/v1/evaluation" ;;
  *) set -- "$@" --unix-socket "$where" http://localhost/access/v1/evaluation ;;
esac
# Whatever goes wrong is a no.
answer=$(curl "$@" --data "{
  \"subject\":  { \"type\": \"SupportEngineer\", \"id\": \"$engineer\" },
  \"action\":   { \"name\": \"read\" },
  \"resource\": { \"type\": \"DiagnosticData\", \"id\": \"$resource\" },
  \"context\":  { \"support_request\": \"$support_request\" }
}") || { echo "$answer"; exit 1; }
echo "$answer"
case $answer in
  '{"decision":true,'*) exit 0 ;;
  *) exit 1 ;;
esac
