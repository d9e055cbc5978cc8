#!/bin/sh
# Makes the certificates of the client's tests anew; their keys guard nothing.
set -eu
cd "$(dirname "$0")"
key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1.key"; }
leaf() { # name, subjectAltName, usage, notBefore, notAfter
  key "$1"
  openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
  printf 'subjectAltName=%s\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=%s\n' "$2" "$3" > ext
  printf '[ca]\ndefault_ca=d\n[d]\ndatabase=db\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n' > conf
  : > db; [ -e serial ] || echo 01 > serial
  openssl ca -batch -notext -config conf -cert ca.pem -keyfile ca.key -in "$1.csr" -extfile ext -startdate "$4" -enddate "$5" -out "$1.pem" 2>/dev/null
}
key ca
openssl req -x509 -new -key ca.key -subj "/CN=renewd test root" -days 36500 -addext 'keyUsage=critical,keyCertSign' -out ca.pem
# As `openssl req -x509` makes them: a leaf that calls itself a CA.
key selfsigned
openssl req -x509 -new -key selfsigned.key -subj "/CN=localhost" -days 36500 -addext 'subjectAltName=DNS:localhost' -out selfsigned.pem
leaf good 'DNS:localhost,IP:127.0.0.1' serverAuth 20200101000000Z 21200101000000Z
leaf expired 'DNS:localhost,IP:127.0.0.1' serverAuth 20200101000000Z 20210101000000Z
leaf other 'DNS:other.example' serverAuth 20200101000000Z 21200101000000Z
leaf client 'DNS:client.example' clientAuth 20200101000000Z 21200101000000Z
python3 -c 'import gzip,sys; sys.stdout.buffer.write(gzip.compress(b" " * (16 << 20), 9, mtime=0))' > bomb.gz
python3 -c 'import gzip,sys; sys.stdout.buffer.write(gzip.compress(b"{\"access_token\": \"A\", \"expires_in\": 3600}", 9, mtime=0))' > good.gz
rm -f ca.key ./*.csr ext conf db* serial* 0?.pem
