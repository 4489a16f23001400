#!/bin/sh
# Makes a certificate authority of one's own and a server's certificate: make-certificates.sh FOLDER NAME...
#
# NAME is a host name or an IP address by which clients reach the server, for instance: valkey s3 10.0.0.5
# An authority that is there already is used again; keep ca.key offline, and give clients ca.crt.
set -eu
folder=${1:?folder}
shift
days=${DAYS:-365}
mkdir -p "$folder"
umask 077

names=
for name in "$@"; do
    case $name in
        *[!0-9.]*) names="$names,DNS:$name" ;;
        *) names="$names,IP:$name" ;;
    esac
done

if [ ! -f "$folder/ca.key" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$((10 * days))" \
        -subj "/CN=chatterqueue farm" -keyout "$folder/ca.key" -out "$folder/ca.crt" 2> /dev/null
fi
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=${1:?name}" \
    -addext "subjectAltName=${names#,}" -addext "extendedKeyUsage=serverAuth" \
    -keyout "$folder/server.key" -out "$folder/server.csr" 2> /dev/null
openssl x509 -req -in "$folder/server.csr" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" -CAcreateserial \
    -days "$days" -copy_extensions copyall -out "$folder/server.crt" 2> /dev/null
rm -f "$folder/server.csr"
chmod 644 "$folder/ca.crt" "$folder/server.crt"
