# Docker with Lambda's base image, and the functions built as they are deployed.

case "$(uname -m)" in
  aarch64 | arm64) architecture=arm64 ;;
  *) architecture=x86_64 ;;
esac
base_image=public.ecr.aws/lambda/provided:al2023-$architecture

cannot_run_sam() {
  echo "test: $1; TOLLGATE_TEST_SKIP_SAM=1 leaves the tests of SAM out" >&2
  exit 1
}

want_docker() {
  docker info >/dev/null 2>&1 || [ "$(id -u)" != 0 ] || want dockerd docker.io iptables
}

# Docker where it runs already; or else Debian's, started for these tests.
prepare_docker() {
  if ! docker info >/dev/null 2>&1; then
    if [ "$(id -u)" != 0 ]; then
      cannot_run_sam "Docker does not run, or not for you: start it, and be in the group docker, or run this as root"
    fi
    dockerd >"$tools/dockerd.log" 2>&1 &
    started+=($!)
    for _ in $(seq 60); do
      docker info >/dev/null 2>&1 && break
      sleep 0.5
    done
    docker info >/dev/null 2>&1 || cannot_run_sam "Docker did not start, see $tools/dockerd.log"
  fi
  # Where containers find what listens on this machine.
  TOLLGATE_TEST_DOCKER_HOST=$(docker network inspect bridge --format '{{(index .IPAM.Config 0).Gateway}}')
  export TOLLGATE_TEST_DOCKER_HOST
  docker image inspect "$base_image" >/dev/null 2>&1 ||
    timeout 300 docker pull --quiet "$base_image" 2>/dev/null || make_base_image
}

# A stand-in for Lambda's base image, where none can be pulled: a bare Debian has all that a bootstrap needs.
make_base_image() {
  command -v debootstrap >/dev/null || install debootstrap
  as_root rm -rf "$tools/rootfs"
  as_root debootstrap --variant=minbase --include=ca-certificates bookworm "$tools/rootfs" >"$tools/debootstrap.log" ||
    cannot_run_sam "no base image could be pulled or made, see $tools/debootstrap.log"
  as_root tar -C "$tools/rootfs" -c . | docker import - "$base_image" >/dev/null
  as_root rm -rf "$tools/rootfs"
}

# Without link-time optimization, which takes minutes and changes nothing that the tests look at.
build_with_sam() {
  PATH=$TOLLGATE_TEST_PYTHON:$PATH AWS_DEFAULT_REGION=us-east-1 \
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    sam build --parameter-overrides "Architecture=$architecture" >"$tools/sam-build.log" 2>&1 ||
    { cat "$tools/sam-build.log" >&2; cannot_run_sam "sam build failed"; }
}
