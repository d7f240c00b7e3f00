"""Platforms: what each of them tells, how several are composed, and what is done with nonsense."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperplane.platforms import FIELDS, Fact, Platform, detect
from hyperplane.platforms.rows import ROWS

DOCS = Path(__file__).parents[1] / "docs" / "reference" / "platforms.md"
RAY = json.dumps({"metadata": {"job_submission_id": "raysubmit_7", "job_name": "night"}, "runtime_env": {}})
CLUSTER = json.dumps(
    {
        "cluster": {"workerpool0": ["a:1"], "workerpool1": ["b:1", "c:1"]},
        "task": {"type": "workerpool1", "index": 1},
    }
)


def variables(text):
    """Return the variables that a line of NAME=value words spells."""
    return dict(word.split("=", 1) for word in text.split())


def values(platform):
    """Return the facts of a platform without their sources."""
    return {field: fact.value for field, fact in platform.facts.items()}


TOLD = {
    "torchrun": (
        variables("TORCHELASTIC_RUN_ID=exp TORCHELASTIC_RESTART_COUNT=2 RANK=3 WORLD_SIZE=8 LOCAL_RANK=1"),
        {"job_id": "exp", "attempt": 3, "rank": 3, "world_size": 8, "local_rank": 1},
    ),
    "ray": (
        variables("RAY_JOB_STOP_WAIT_TIME_S=60 RAY_JOB_STOP_SIGNAL=SIGINT")
        | {"RAY_JOB_CONFIG_JSON_ENV_VAR": RAY},
        {"job_id": "raysubmit_7", "job_name": "night", "grace_s": 60.0, "stop_signals": ("SIGINT",)},
    ),
    "dstack": (
        variables("DSTACK_RUN_NAME=cool-cat-1 DSTACK_NODE_RANK=1 DSTACK_NODES_NUM=2"),
        {"job_id": "cool-cat-1", "rank": 1, "world_size": 2},
    ),
    "skypilot": (
        variables("SKYPILOT_TASK_ID=sky-1 SKYPILOT_NODE_RANK=0 SKYPILOT_NUM_NODES=1"),
        {"job_id": "sky-1", "rank": 0, "world_size": 1},
    ),
    "kubeflow": (
        variables("KFP_POD_NAME=train-x KFP_POD_UID=u-1 PET_NODE_RANK=1 PET_NNODES=2"),
        {"job_id": "u-1", "job_name": "train-x", "rank": 1, "world_size": 2},
    ),
    "slurm": (
        variables(
            "SLURM_JOB_ID=42 SLURM_JOB_NAME=train SLURM_RESTART_COUNT=1 SLURM_JOB_USER=ada SLURM_PROCID=1 "
            "SLURM_NTASKS=4 SLURM_LOCALID=0 SLURM_JOB_END_TIME=1700000000 SLURM_SUBMIT_DIR=/home/ada"
        ),
        {"job_id": "42", "job_name": "train", "attempt": 2, "user": "ada", "rank": 1, "world_size": 4}
        | {"local_rank": 0, "deadline": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), "grace_s": 30.0},
    ),
    "sagemaker": (
        variables(
            "TRAINING_JOB_NAME=t-1 SM_OUTPUT_DATA_DIR=/opt/ml/output/data SM_MODEL_DIR=/opt/ml/model "
            'SM_CURRENT_HOST=algo-2 SM_HOSTS=["algo-2","algo-1"]'
        ),
        {"job_id": "t-1", "job_name": "t-1", "output_dir": "/opt/ml/output/data", "rank": 1, "world_size": 2}
        | {"grace_s": 120.0},
    ),
    "vertex-ai": (
        {"CLOUD_ML_JOB_ID": "77", "CLUSTER_SPEC": CLUSTER, "AIP_MODEL_DIR": "gs://bucket/model"},
        {"job_id": "77", "rank": 2, "world_size": 3},
    ),
    "azure-ml": ({"AZUREML_RUN_ID": "run-1"}, {"job_id": "run-1", "output_dir": "outputs"}),
    "databricks": ({"DATABRICKS_RUNTIME_VERSION": "15.4"}, {}),
    "hopsworks": (
        variables("HOPSWORKS_JOB_NAME=features HDFS_USER=demo__ada"),
        {"job_name": "features", "user": "demo__ada"},
    ),
    "modal": (variables("MODAL_TASK_ID=ta-1 MODAL_IS_REMOTE=1"), {"job_id": "ta-1"}),
    "runpod": ({"RUNPOD_POD_ID": "pod-1"}, {"job_id": "pod-1"}),
    "cloud-run": (
        variables(
            "CLOUD_RUN_JOB=train CLOUD_RUN_EXECUTION=train-x CLOUD_RUN_TASK_ATTEMPT=0 CLOUD_RUN_TASK_INDEX=1 "
            "CLOUD_RUN_TASK_COUNT=3"
        ),
        {"job_id": "train-x", "job_name": "train", "attempt": 1, "index": 1, "count": 3},
    ),
    "aws-batch": (
        variables(
            "AWS_BATCH_JOB_ID=b-1:4 AWS_BATCH_JOB_ATTEMPT=2 AWS_BATCH_JOB_ARRAY_INDEX=4 "
            "AWS_BATCH_JOB_ARRAY_SIZE=10"
        ),
        {"job_id": "b-1:4", "attempt": 2, "index": 4, "count": 10, "grace_s": 30.0},
    ),
    "github-actions": (
        variables(
            "GITHUB_RUN_ID=99 GITHUB_JOB=train GITHUB_RUN_ATTEMPT=2 GITHUB_ACTOR=ada "
            "GITHUB_WORKSPACE=/checkout"
        ),
        {"job_id": "99-train", "job_name": "train", "attempt": 2, "user": "ada", "grace_s": 10.0}
        | {"stop_signals": ("SIGINT",)},
    ),
    "gitlab-ci": (
        variables(
            "CI_JOB_ID=5 CI_JOB_NAME=train GITLAB_USER_LOGIN=ada CI_NODE_INDEX=2 CI_NODE_TOTAL=2 "
            "CI_JOB_STARTED_AT=2022-01-31T16:47:55Z CI_JOB_TIMEOUT=3600 CI_PROJECT_DIR=/builds/x"
        ),
        {"job_id": "5", "job_name": "train", "user": "ada", "index": 1, "count": 2}
        | {"deadline": datetime(2022, 1, 31, 17, 47, 55, tzinfo=UTC)},
    ),
    "nomad": (
        variables("NOMAD_JOB_ID=train/1 NOMAD_JOB_NAME=train NOMAD_ALLOC_INDEX=1 NOMAD_ALLOC_DIR=/alloc"),
        {"job_id": "train/1", "job_name": "train", "index": 1, "grace_s": 5.0, "stop_signals": ("SIGINT",)},
    ),
    "ecs": ({"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/x"}, {"grace_s": 30.0}),
    "kubernetes": (
        variables("KUBERNETES_SERVICE_HOST=10.0.0.1 JOB_COMPLETION_INDEX=3 HOSTNAME=train-3-x"),
        {"index": 3, "grace_s": 30.0},
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_each_platform_tells_its_facts_and_no_more(name):
    """A platform's own variables give exactly its facts, and no warning."""
    environ, expected = TOLD[name]

    platform = detect(environ)

    assert ((name,), expected, ()) == (platform.names, values(platform), platform.warnings)


def test_every_shipped_platform_is_tried():
    """The list of examples above has each row of the table, in the table's order."""
    assert [row.name for row in ROWS] == list(TOLD)


def test_a_laptop_is_local():
    """Without any variable of a platform there is none, and nothing is known."""
    assert (Platform(), "local", None) == (
        detect({"HOME": "/home/ada", "RANK": "3", "SM_MODEL_DIR": "x"}),
        Platform().name,
        Platform().get("rank"),
    )


def test_an_empty_variable_gives_nothing_away():
    """A variable that is set to nothing counts as not set."""
    assert Platform() == detect({"SLURM_JOB_ID": "", "REST_ENDPOINT": "http://api", "PET_NODE_RANK": "0"})


def test_a_fact_names_the_variables_it_was_read_from():
    """Each fact keeps its source: one variable, several, a key in one, or the platform's default."""
    sagemaker = detect(TOLD["sagemaker"][0])
    ray = detect({"RAY_JOB_CONFIG_JSON_ENV_VAR": RAY})

    assert [
        Fact("t-1", "TRAINING_JOB_NAME"),
        Fact(1, "SM_CURRENT_HOST in SM_HOSTS"),
        Fact("night", "metadata.job_name in RAY_JOB_CONFIG_JSON_ENV_VAR"),
        Fact(3.0, "ray default"),
    ] == [sagemaker.get("job_id"), sagemaker.get("rank"), ray.get("job_name"), ray.get("grace_s")]


def test_torchrun_within_slurm_tells_the_ranks_and_slurm_the_job():
    """Ranks come from the launcher; the id, which must outlive a requeue, from the platform around it."""
    platform = detect(TOLD["torchrun"][0] | TOLD["slurm"][0])

    expected = ("42", 2, 3, 8, 1)
    found = tuple(
        values(platform)[name] for name in ("job_id", "attempt", "rank", "world_size", "local_rank")
    )
    assert (("torchrun", "slurm"), expected) == (platform.names, found)


def test_the_evidence_is_the_variable_that_gave_each_platform_away():
    """Every platform found is listed with its variable, never with a value."""
    platform = detect({"AWS_BATCH_JOB_ID": "b", "ECS_CONTAINER_METADATA_URI_V4": "http://x"})

    expected = {"aws-batch": "AWS_BATCH_JOB_ID", "ecs": "ECS_CONTAINER_METADATA_URI_V4"}
    assert expected == platform.evidence


def test_a_rank_is_never_completed_from_another_platform():
    """Rank, world size and local rank come from one and the same platform."""
    platform = detect({"TORCHELASTIC_RUN_ID": "x", "RANK": "5", "SLURM_JOB_ID": "1", "SLURM_NTASKS": "2"})

    expected = {"job_id": "1", "grace_s": 30.0, "rank": 5}
    assert expected == values(platform)


def test_a_run_id_of_none_is_no_id():
    """torchrun's own default run id says nothing about the job."""
    assert None is detect({"TORCHELASTIC_RUN_ID": "none"}).get("job_id")


@pytest.mark.parametrize(
    ("environ", "warning"),
    [
        ({"SLURM_PROCID": "first"}, "SLURM_PROCID is not a whole number from 0 on"),
        ({"SLURM_PROCID": "-1"}, "SLURM_PROCID is not a whole number from 0 on"),
        ({"SLURM_PROCID": "１"}, "SLURM_PROCID is not a whole number from 0 on"),
        ({"SLURM_PROCID": "9" * 5000}, "SLURM_PROCID is not a whole number from 0 on"),
        ({"SLURM_NTASKS": "0", "SLURM_PROCID": "0"}, "SLURM_NTASKS is not a whole number from 1 on"),
        ({"SLURM_NTASKS": "4"}, "SLURM_NTASKS is set without SLURM_PROCID"),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "4"}, "SLURM_PROCID is not below SLURM_NTASKS"),
        ({"SLURM_JOB_END_TIME": "9" * 18}, "SLURM_JOB_END_TIME is further away than a calendar reaches"),
        ({"SLURM_JOB_NAME": "a\nb"}, "SLURM_JOB_NAME holds characters that cannot be printed"),
        (
            {"SLURM_ARRAY_TASK_ID": "12", "SLURM_ARRAY_TASK_COUNT": "3"},
            "SLURM_ARRAY_TASK_ID is not below SLURM_ARRAY_TASK_COUNT",
        ),
        (
            {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_STEP": "2", "SLURM_ARRAY_TASK_COUNT": "3"},
            "SLURM_ARRAY_TASK_ID is not one of the array's tasks",
        ),
        ({"CI_JOB_ID": "1", "CI_NODE_INDEX": "0"}, "CI_NODE_INDEX is not a whole number from 1 on"),
        (
            {"CI_JOB_ID": "1", "CI_JOB_STARTED_AT": "noon", "CI_JOB_TIMEOUT": "1"},
            "CI_JOB_STARTED_AT is not an ISO 8601 time",
        ),
        ({"TRAINING_JOB_NAME": "t", "SM_CURRENT_HOST": "a", "SM_HOSTS": "[1]"}, "SM_HOSTS is not a list of"),
        (
            {"TRAINING_JOB_NAME": "t", "SM_CURRENT_HOST": "a", "SM_HOSTS": '["b"]'},
            "SM_CURRENT_HOST is not among",
        ),
        ({"CLOUD_ML_JOB_ID": "1", "CLUSTER_SPEC": "[" * 100_000}, "CLUSTER_SPEC is not JSON"),
        ({"CLOUD_ML_JOB_ID": "1", "CLUSTER_SPEC": '{"cluster": 1}'}, "CLUSTER_SPEC is not a cluster spec"),
        (
            {"CLOUD_ML_JOB_ID": "1", "CLUSTER_SPEC": '{"cluster": {}, "task": {"type": "a", "index": 0}}'},
            "CLUSTER_SPEC names a task that is not in its cluster",
        ),
        (
            {"RAY_JOB_CONFIG_JSON_ENV_VAR": "[]"},
            "RAY_JOB_CONFIG_JSON_ENV_VAR has no metadata.job_submission_id",
        ),
    ],
)
def test_an_unusable_variable_is_warned_about_and_ignored(environ, warning):
    """What cannot be used is named without its value, and gives no rank, index or deadline."""
    platform = detect({"SLURM_JOB_ID": "1"} | environ)

    unusable = {"index", "count", "deadline", "world_size", "output_dir"} & platform.facts.keys()
    assert (True, set()) == (platform.warnings[0].startswith(warning), unusable)


def test_a_bad_rank_in_front_does_not_hide_a_good_one():
    """When the most specific platform's rank is unusable, the next one's is taken, with the warning."""
    platform = detect(variables("TORCHELASTIC_RUN_ID=x RANK=a SLURM_JOB_ID=1 SLURM_PROCID=2"))

    warnings = ("RANK is not a whole number from 0 on: ignored",)
    assert (Fact(2, "SLURM_PROCID"), warnings) == (platform.get("rank"), platform.warnings)


@pytest.mark.parametrize(
    "environ",
    [
        {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "1"},
        {"CI_JOB_ID": "1", "CI_NODE_TOTAL": "1", "CI_JOB_TIMEOUT": "3600"},
        {"TRAINING_JOB_NAME": "t", "SM_CURRENT_HOST": "a"},
        {"CLOUD_ML_JOB_ID": "1"},
        {"RAY_JOB_CONFIG_JSON_ENV_VAR": "{}"},
    ],
)
def test_what_a_platform_leaves_out_on_its_own_is_no_warning(environ):
    """A single task, a job that is not parallel and an unset variable are ordinary."""
    platform = detect(environ)

    unknown = {"rank", "world_size", "index", "count", "deadline"}
    assert (set(), ()) == (unknown & platform.facts.keys(), platform.warnings)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        ({"ID": "3", "COUNT": "10"}, (3, 10)),
        ({"ID": "10", "MIN": "1", "MAX": "10", "STEP": "1", "COUNT": "10"}, (9, 10)),
        ({"ID": "8", "MIN": "0", "MAX": "12", "STEP": "4", "COUNT": "4"}, (2, 4)),
        ({"ID": "7", "MIN": "1", "MAX": "7", "STEP": "1", "COUNT": "3"}, (7, None)),
    ],
)
def test_an_array_task_has_an_index_below_the_count(array, expected):
    """Ids of an even array are counted from 0; an uneven one keeps the id, and has no count."""
    platform = detect(
        {"SLURM_JOB_ID": "1"} | {f"SLURM_ARRAY_TASK_{end}": value for end, value in array.items()}
    )

    assert expected == (values(platform)["index"], values(platform).get("count"))


@pytest.mark.parametrize(("node", "expected"), [("0", 2), ("1", 0), ("2", 1)])
def test_the_main_node_of_a_batch_job_is_rank_zero(node, expected):
    """Nodes are counted from the main one on, whose end ends the job, and share the job's id."""
    platform = detect(
        {
            "AWS_BATCH_JOB_ID": f"b-1#{node}",
            "AWS_BATCH_JOB_NODE_INDEX": node,
            "AWS_BATCH_JOB_MAIN_NODE_INDEX": "1",
            "AWS_BATCH_JOB_NUM_NODES": "3",
        }
    )

    assert ("b-1", expected) == (values(platform)["job_id"], values(platform)["rank"])


def test_a_start_without_a_zone_is_utc():
    """GitLab's start of the job is UTC unless it says otherwise."""
    platform = detect({"CI_JOB_ID": "1", "CI_JOB_STARTED_AT": "2022-01-31T16:00:00", "CI_JOB_TIMEOUT": "60"})

    assert Fact(
        datetime(2022, 1, 31, 16, 1, tzinfo=UTC), "CI_JOB_STARTED_AT and CI_JOB_TIMEOUT"
    ) == platform.get("deadline")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "TORCHELASTIC_RUN_ID": "x"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "CI_JOB_ID": "1"}, False),
        ({"TRAINING_JOB_NAME": "t", "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data"}, False),
        ({"TRAINING_JOB_NAME": "t"}, True),
        ({"SLURM_JOB_ID": "1"}, False),
        ({"TORCHELASTIC_RUN_ID": "x"}, False),
    ],
)
def test_the_disk_is_lost_where_it_goes_with_the_job_and_no_output_folder_is_given(environ, expected):
    """The most specific platform that has a disk decides, and a folder for outputs settles it."""
    assert expected is detect(environ).disk_is_lost


@given(
    st.dictionaries(
        st.sampled_from(sorted({name for row in ROWS for name in row.variables})),
        st.one_of(
            st.text('019a-#:[]{}"\n\0１', max_size=8),
            st.integers(-1, 5).map(str),
            st.sampled_from([RAY, CLUSTER, '["a", "1"]', "{}", "1e999"]),
        ),
    )
)
def test_any_values_of_the_variables_give_a_consistent_platform(environ):
    """Whatever the variables hold, detection ends with numbers that fit each other and known fields."""
    platform = detect(environ)

    facts = values(platform)
    parts = (("rank", "world_size"), ("index", "count"))
    assert facts.keys() <= set(FIELDS)
    assert all(facts[part] < facts.get(whole, sys.maxsize) for part, whole in parts if part in facts)
    assert facts.get("attempt", 1) >= 1


def test_detection_loads_no_json_parser_and_no_settings_library():
    """Without a JSON variable, importing and detecting loads nothing heavy."""
    code = (
        "import sys; from hyperplane.platforms import detect; detect({'CI_JOB_ID': '1'}); print(*sys.modules)"
    )
    # without the variables that would have coverage load both
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={})
    loaded = done.stdout

    assert set() == {"json", "pydantic", "urllib.request", "socket"} & set(loaded.split())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_reference_lists_every_platform_with_its_variables(row):
    """The line of a platform in the documented table names each variable that is looked at."""
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| {row.name} |")]

    expected = [(name, True) for name in row.variables]
    assert expected == [(name, f"`{name}`" in line) for line in lines for name in row.variables]
