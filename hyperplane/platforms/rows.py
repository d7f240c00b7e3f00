"""The table: one row for each platform, how it is detected and which variables tell which fact."""

from collections.abc import Mapping
from typing import NamedTuple

from hyperplane.platforms.reading import (
    Environ,
    Reading,
    always,
    attempt,
    epoch,
    joined,
    member,
    number,
    place_in,
    place_in_array,
    place_in_pools,
    place_of_nodes,
    seconds,
    signal,
    size,
    start_and_limit,
    text,
    without_node,
)


class Row(NamedTuple):
    """One platform.

    `detect`: any of these gives it away; names with a space between them only together.
    `disk_is_lost`: whether what the job leaves on disk goes when the job goes; None where that is up to
    the platform underneath.
    `is_launcher`: it starts processes within a job of another platform, which knows better which job it is.
    """

    name: str
    detect: tuple[str, ...]
    facts: Mapping[str, Reading]
    disk_is_lost: bool | None = None
    is_launcher: bool = False

    def evidence(self, environ: Environ) -> str:
        """Return the first variable that gives the platform away, or an empty string."""
        found = (words.split() for words in self.detect)
        return next((names[0] for names in found if all(environ.get(name) for name in names)), "")

    @property
    def variables(self) -> tuple[str, ...]:
        """Every variable that is looked at for this platform."""
        detecting = (name for words in self.detect for name in words.split())
        reading = (name for fact in self.facts.values() for name in fact.variables)
        return tuple(dict.fromkeys((*detecting, *reading)))


def _row(
    name: str,
    *detect: str,
    disk_is_lost: bool | None = None,
    is_launcher: bool = False,
    place: tuple[Reading, Reading] | None = None,
    task: tuple[Reading, Reading] | None = None,
    **facts: Reading,
) -> Row:
    if place is not None:
        facts["rank"], facts["world_size"] = place
    if task is not None:
        facts["index"], facts["count"] = task
    return Row(name, detect, facts, disk_is_lost, is_launcher)


# The most specific first: a launcher, then what runs jobs, then what runs containers.
# `stop_signals` are those besides SIGTERM; a grace is the platform's default, which its users may change.
ROWS = (
    # torch/distributed/run.py: the run id is "none" unless one was given
    _row(
        "torchrun",
        "TORCHELASTIC_RUN_ID",
        is_launcher=True,
        job_id=text("TORCHELASTIC_RUN_ID", unless="none"),
        attempt=attempt("TORCHELASTIC_RESTART_COUNT", first=0),
        rank=number("RANK"),
        world_size=size("WORLD_SIZE"),
        local_rank=number("LOCAL_RANK"),
    ),
    # ray/dashboard/modules/job: common.py for the keys, job_supervisor.py for the two stop variables
    _row(
        "ray",
        "RAY_JOB_CONFIG_JSON_ENV_VAR",
        job_id=member("RAY_JOB_CONFIG_JSON_ENV_VAR", "metadata", "job_submission_id"),
        job_name=member("RAY_JOB_CONFIG_JSON_ENV_VAR", "metadata", "job_name"),
        grace_s=seconds("RAY_JOB_STOP_WAIT_TIME_S", default=3.0),
        stop_signals=signal("RAY_JOB_STOP_SIGNAL", "SIGINT"),
    ),
    _row(
        "dstack",
        "DSTACK_RUN_NAME",
        disk_is_lost=True,
        job_id=text("DSTACK_RUN_NAME"),
        rank=number("DSTACK_NODE_RANK"),
        world_size=size("DSTACK_NODES_NUM"),
    ),
    # a managed job's machine goes with it; a cluster's stays, which the id does not tell for certain
    _row(
        "skypilot",
        "SKYPILOT_TASK_ID",
        disk_is_lost=True,
        job_id=text("SKYPILOT_TASK_ID"),
        rank=number("SKYPILOT_NODE_RANK"),
        world_size=size("SKYPILOT_NUM_NODES"),
    ),
    # kubeflow/trainer plugins/torch/torch.go: both PET variables are the operator's
    _row(
        "kubeflow",
        "KFP_POD_NAME",
        "KFP_POD_UID",
        "PET_NODE_RANK KUBERNETES_SERVICE_HOST",
        disk_is_lost=True,
        job_id=text("KFP_POD_UID"),
        job_name=text("KFP_POD_NAME"),
        rank=number("PET_NODE_RANK"),
        world_size=size("PET_NNODES"),
    ),
    # slurm src/common/env.c and sbatch(1); KillWait in slurm.conf(5)
    _row(
        "slurm",
        "SLURM_JOB_ID",
        disk_is_lost=False,
        job_id=text("SLURM_JOB_ID"),
        job_name=text("SLURM_JOB_NAME"),
        attempt=attempt("SLURM_RESTART_COUNT", first=0),
        user=text("SLURM_JOB_USER"),
        rank=number("SLURM_PROCID"),
        world_size=size("SLURM_NTASKS"),
        local_rank=number("SLURM_LOCALID"),
        task=place_in_array("SLURM_ARRAY_TASK_"),
        deadline=epoch("SLURM_JOB_END_TIME"),
        grace_s=always(30.0),
    ),
    # SM_MODEL_DIR is left to SageMaker, which delivers it itself; StopTrainingJob gives 120 s
    _row(
        "sagemaker",
        "TRAINING_JOB_NAME",
        "TRAINING_JOB_ARN",
        disk_is_lost=True,
        job_id=text("TRAINING_JOB_NAME"),
        job_name=text("TRAINING_JOB_NAME"),
        output_dir=text("SM_OUTPUT_DATA_DIR"),
        place=place_in("SM_CURRENT_HOST", "SM_HOSTS"),
        grace_s=always(120.0),
    ),
    # AIP_MODEL_DIR and its like are gs:// URLs, not folders
    _row(
        "vertex-ai",
        "CLOUD_ML_JOB_ID",
        disk_is_lost=True,
        job_id=text("CLOUD_ML_JOB_ID"),
        place=place_in_pools("CLUSTER_SPEC"),
    ),
    # azuremlsdk: a run captures ./outputs unless told another folder
    _row(
        "azure-ml",
        "AZUREML_RUN_ID",
        disk_is_lost=True,
        job_id=text("AZUREML_RUN_ID"),
        output_dir=always("outputs"),
    ),
    # ids come as parameters of the job; a job cluster goes with its disk
    _row("databricks", "DATABRICKS_RUNTIME_VERSION", disk_is_lost=True),
    # its own client looks for REST_ENDPOINT, a name that others use too
    _row(
        "hopsworks",
        "HOPSWORKS_JOB_NAME",
        "HOPSWORKS_PROJECT_NAME",
        "REST_ENDPOINT HADOOP_USER_NAME",
        "REST_ENDPOINT HDFS_USER",
        "REST_ENDPOINT HOPSWORKS_USER",
        disk_is_lost=False,
        job_name=text("HOPSWORKS_JOB_NAME"),
        user=text("HADOOP_USER_NAME", "HDFS_USER", "HOPSWORKS_USER"),
    ),
    _row(
        "modal",
        "MODAL_TASK_ID",
        "MODAL_IS_REMOTE",
        disk_is_lost=True,
        job_id=text("MODAL_TASK_ID"),
    ),
    # a pod is a rented machine: it outlives the job, and its volume outlives its stop
    _row("runpod", "RUNPOD_POD_ID", disk_is_lost=False, job_id=text("RUNPOD_POD_ID")),
    _row(
        "cloud-run",
        "CLOUD_RUN_EXECUTION",
        "CLOUD_RUN_JOB",
        disk_is_lost=True,
        job_id=text("CLOUD_RUN_EXECUTION"),
        job_name=text("CLOUD_RUN_JOB"),
        attempt=attempt("CLOUD_RUN_TASK_ATTEMPT", first=0),
        index=number("CLOUD_RUN_TASK_INDEX"),
        count=size("CLOUD_RUN_TASK_COUNT"),
    ),
    # a node of a multi-node job is addressed as <job>#<node>; the job ends with its main node
    _row(
        "aws-batch",
        "AWS_BATCH_JOB_ID",
        disk_is_lost=True,
        job_id=without_node("AWS_BATCH_JOB_ID"),
        attempt=attempt("AWS_BATCH_JOB_ATTEMPT", first=1),
        rank=place_of_nodes(
            "AWS_BATCH_JOB_NODE_INDEX", "AWS_BATCH_JOB_NUM_NODES", "AWS_BATCH_JOB_MAIN_NODE_INDEX"
        ),
        world_size=size("AWS_BATCH_JOB_NUM_NODES"),
        index=number("AWS_BATCH_JOB_ARRAY_INDEX"),
        count=size("AWS_BATCH_JOB_ARRAY_SIZE"),
        grace_s=always(30.0),
    ),
    # all jobs of a workflow run share its id; actions/runner ProcessInvoker.cs: SIGINT, 7.5 s, SIGTERM, 2.5 s
    _row(
        "github-actions",
        "GITHUB_RUN_ID",
        disk_is_lost=False,
        job_id=joined("GITHUB_RUN_ID", "GITHUB_JOB"),
        job_name=text("GITHUB_JOB"),
        attempt=attempt("GITHUB_RUN_ATTEMPT", first=1),
        user=text("GITHUB_ACTOR"),
        grace_s=always(10.0),
        stop_signals=always(("SIGINT",)),
    ),
    # GitLab's predefined variables; CI_NODE_INDEX counts from 1
    _row(
        "gitlab-ci",
        "CI_JOB_ID",
        disk_is_lost=False,
        job_id=text("CI_JOB_ID"),
        job_name=text("CI_JOB_NAME"),
        user=text("GITLAB_USER_LOGIN"),
        index=number("CI_NODE_INDEX", first=1),
        count=size("CI_NODE_TOTAL"),
        deadline=start_and_limit("CI_JOB_STARTED_AT", "CI_JOB_TIMEOUT"),
    ),
    # an allocation's folder is collected after it; kill_signal and kill_timeout default to SIGINT and 5 s
    _row(
        "nomad",
        "NOMAD_ALLOC_ID",
        "NOMAD_JOB_ID",
        disk_is_lost=True,
        job_id=text("NOMAD_JOB_ID"),
        job_name=text("NOMAD_JOB_NAME"),
        index=number("NOMAD_ALLOC_INDEX"),
        grace_s=always(5.0),
        stop_signals=always(("SIGINT",)),
    ),
    # the task's id is behind a network call, which is not made
    _row("ecs", "ECS_CONTAINER_METADATA_URI_V4", disk_is_lost=True, grace_s=always(30.0)),
    # terminationGracePeriodSeconds; the hostname changes with each retry, so it is no id
    _row(
        "kubernetes",
        "KUBERNETES_SERVICE_HOST",
        disk_is_lost=True,
        index=number("JOB_COMPLETION_INDEX"),
        grace_s=always(30.0),
    ),
)
