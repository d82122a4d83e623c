#!/bin/sh
# Makes the passwords and keys that docker-compose.yml mounts, once: what is there is never changed.
#
#   sh deploy/make-secrets.sh [FOLDER]      ./secrets if not named
#
# The folder is for its owner only. The files in it are readable, because Compose binds them into containers as they
# are, and each container reads them under another account; nobody else on the machine gets past the folder.
set -eu
folder=${1:-secrets}
mkdir -p "$folder"
chmod 700 "$folder"

random() {
    # 32 bytes as hexadecimal digits: safe inside an address.
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

keep() {
    # Writes standard input to a new file, whole or not at all.
    if [ -e "$folder/$1" ]; then
        echo "kept $folder/$1" >&2
        cat >/dev/null
        return
    fi
    cat >"$folder/.$1.new"
    chmod 444 "$folder/.$1.new"
    mv "$folder/.$1.new" "$folder/$1"
}

value() {
    cat "$folder/$1"
}

random | keep postgres_password
printf 'postgresql+psycopg://restnet:%s@postgres/restnet\n' "$(value postgres_password)" | keep restnet_database_url

random | keep redis_password
printf 'user default on >%s ~* &* +@all\n' "$(value redis_password)" | keep redis_users
printf 'redis://:%s@redis:6379/0\n' "$(value redis_password)" | keep restnet_broker_url

printf 'restnet\n' | keep restnet_storage_access_key
random | keep restnet_storage_secret_key
printf '{"identities": [{"name": "restnet", "credentials": [{"accessKey": "%s", "secretKey": "%s"}],
  "actions": ["Admin", "Read", "List", "Tagging", "Write"]}]}\n' \
    "$(value restnet_storage_access_key)" "$(value restnet_storage_secret_key)" | keep s3_accounts
echo "secrets are in $folder" >&2
