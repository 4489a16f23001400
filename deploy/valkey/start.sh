#!/bin/sh
# Starts Valkey with the users of users.acl. Their passwords come from the environment and are kept as hashes.
#
#   PRODUCER_PASSWORD, WORKER_PASSWORD, READER_PASSWORD, OPERATOR_PASSWORD   one for each user
#   REDIS_PREFIX    what all keys of the farm begin with (CHATTERQUEUE_REDIS_PREFIX)
#   ACL_DIR         where the finished list of users is written: a folder in memory, for this user alone
#   TLS_DIR         with server.crt, server.key and ca.crt in it, Valkey speaks TLS and nothing else
#
# Further arguments go to valkey-server.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
prefix=${REDIS_PREFIX:-chatterqueue:}
acl_file=${ACL_DIR:-/run/valkey}/users.acl
tls_dir=${TLS_DIR:-/etc/valkey/tls}

hash() {
    printf %s "$1" | sha256sum | cut -d ' ' -f 1
}

case $prefix in
    *[!A-Za-z0-9_.:-]*) echo "start.sh: REDIS_PREFIX may hold letters, digits and _ . : - only" >&2; exit 8 ;;
esac
producer=$(hash "${PRODUCER_PASSWORD:?}")
worker=$(hash "${WORKER_PASSWORD:?}")
reader=$(hash "${READER_PASSWORD:?}")
operator=$(hash "${OPERATOR_PASSWORD:?}")

umask 077
sed -e '/^#/d' \
    -e "s/@PRODUCER_SHA256@/$producer/" -e "s/@WORKER_SHA256@/$worker/" -e "s/@READER_SHA256@/$reader/" \
    -e "s/@OPERATOR_SHA256@/$operator/" -e "s/@PREFIX@/$prefix/g" "$here/users.acl" > "$acl_file"
unset PRODUCER_PASSWORD WORKER_PASSWORD READER_PASSWORD OPERATOR_PASSWORD

if [ -f "$tls_dir/server.key" ]; then
    set -- --port 0 --tls-port 6379 --tls-auth-clients no --tls-protocols "TLSv1.2 TLSv1.3" \
        --tls-cert-file "$tls_dir/server.crt" --tls-key-file "$tls_dir/server.key" \
        --tls-ca-cert-file "$tls_dir/ca.crt" "$@"
fi
exec valkey-server "$here/valkey.conf" --aclfile "$acl_file" "$@"
