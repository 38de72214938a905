#!/usr/bin/env bash
# Pin what a version of Blender's Python module needs: container_worker/blenders/lock.sh 5.0.1
set -euo pipefail
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
uv=$(command -v uv || echo "$folder/../../.venv/bin/uv")
for version in "$@"; do
    lock=$folder/bpy-$version.txt
    echo "# What Blender $version needs as a Python module on Linux x86-64. Made by container_worker/blenders/lock.sh." > "$lock"
    # These Blenders were built against NumPy 1; not every one's metadata says so.
    printf '%s\n' "bpy==$version" 'numpy<2' | "$uv" pip compile --quiet --generate-hashes --no-emit-index-url \
        --python-version 3.11 --python-platform x86_64-manylinux_2_28 --only-binary :all: \
        --no-header --no-annotate - >> "$lock"
done
