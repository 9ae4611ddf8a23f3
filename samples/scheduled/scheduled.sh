#!/bin/sh
# One scheduled run. Its options, such as --rate and --max-time, are added to those below. For several accounts, write
# --profile shops --config /etc/bulkdelete/config.toml in place of --ledger, --account-id and --api-key-file.
#
# The log of all runs is in scheduled.log. The result of a run that a person has to look at is mailed and, if CHAT_URL is set, posted to a
# chat (Slack, Mattermost and others take {"text": ...}).
set -u
PATH=$PATH:/opt/bulkdelete/bin
umask 077

result=$(bulkdelete run '/exports/gone-*.csv' --ledger /var/lib/bulkdelete/1234.db --account-id 1234 --keep-stock \
  --api-key-file /etc/bulkdelete/alephee.key --yes --allow-empty --max-orders 5000 --json -qq \
  --log-file /var/lib/bulkdelete/scheduled.log "$@" 2>&1)
code=$?

# 0: nothing is left. 75, 130 and 143: stopped early, and the next run continues. Anything else is for a person.
case $code in
0 | 75 | 130 | 143) exit 0 ;;
esac

printf '%s\n' "$result" | mail -s "bulkdelete: exit code $code on $(uname -n)" ops@example.com
if [ -n "${CHAT_URL:-}" ]; then
  # `outcomes` and `stops` are in the result of a run, `error` is there if it did not begin.
  printf '%s\n' "$result" | tail -n 1 |
    jq '{text: "bulkdelete: exit code \(.exit_code), \(.error // ([.stops[].why] | join(", "))) \(.outcomes // {} | tojson)"}' |
    curl --fail --silent --show-error --max-time 30 --header 'Content-Type: application/json' --data @- "$CHAT_URL" >/dev/null
fi
exit "$code"
