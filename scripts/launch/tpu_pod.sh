#!/bin/bash
# One program on all hosts of a TPU slice: the mesh spans their chips, and process 0 writes the records.
#
#   tpu_pod.sh SLICE ZONE my_experiment.py --records /shared/records
#
# Stepwell and the file must be at the same place on every host, and the records in a directory that all of them see
# (a disk over NFS; a mounted bucket has neither exclusive renames nor locks). JAX finds the hosts by itself.
# Called again after an interruption, it goes on. It was not tried on a TPU: tell us what it lacks.

set -eu
slice=$1 zone=$2
shift 2
gcloud compute tpus tpu-vm ssh "$slice" --zone "$zone" --worker all \
    --command "$(printf '%q ' stepwell run "$@" --hosts auto)"
