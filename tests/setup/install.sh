# Debian packages, installed where they are missing.

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install PACKAGE...
install() {
  if ! command -v apt-get >/dev/null; then
    echo "test: $* is needed and there is no apt-get to install it with" >&2
    exit 1
  fi
  echo "test: installing $*"
  if [ -z "${updated:-}" ]; then
    as_root apt-get update -qq
    updated=1
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

has_faketime() {
  compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || [ -e /usr/lib/faketime/libfaketime.so.1 ]
}
