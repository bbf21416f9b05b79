# Debian packages: what is missing is noted first, and installed at once after asking.

wanted=()

# want COMMAND PACKAGE...: notes packages to install if there is no such command.
want() {
  command -v "$1" >/dev/null || wanted+=("${@:2}")
}

want_faketime() {
  compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || [ -e /usr/lib/faketime/libfaketime.so.1 ] || wanted+=(faketime)
}

install_wanted() {
  [ ${#wanted[@]} = 0 ] || install "${wanted[@]}"
  wanted=()
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install PACKAGE...
install() {
  if ! command -v apt-get >/dev/null; then
    echo "test: $* is needed, and there is no apt-get to install it with" >&2
    exit 1
  fi
  confirm_install "$@"
  echo "test: installing $*"
  if [ -z "${updated:-}" ]; then
    as_root apt-get update -qq
    updated=1
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Nobody is there to ask in CI; root needs no sudo.
confirm_install() {
  if [ -n "${CI:-}" ] || [ "$(id -u)" = 0 ]; then return; fi
  local answer=
  echo "test: these packages are missing: $*"
  if [ -t 0 ]; then
    read -r -p "test: install them with sudo apt-get? [y/N] " answer || true
  fi
  case $answer in
    [yY]*) ;;
    *)
      echo "test: nothing is installed; install the packages yourself and run this again," >&2
      echo "test: or run 'cargo test --workspace', which needs none of them and lists the tests that do as ignored" >&2
      exit 1
      ;;
  esac
}
