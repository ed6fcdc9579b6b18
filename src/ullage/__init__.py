"""Ullage: what an LLM workload needs before anyone rents a GPU.

>>> import ullage
>>> plan = ullage.plan("examples/werewolf.yaml")
>>> plan.verdict
'fits'

What is public stands in `PLACES`; kinds of workload add verbs of their own. For type checkers both stand once
more in imports that nobody runs.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ullage.api import advise as advise
    from ullage.api import apply_probes as apply_probes
    from ullage.api import audit as audit
    from ullage.api import cards as cards
    from ullage.api import chat as chat
    from ullage.api import check as check
    from ullage.api import check_guide as check_guide
    from ullage.api import check_run as check_run
    from ullage.api import clear_evidence as clear_evidence
    from ullage.api import cluster_file as cluster_file
    from ullage.api import doctor as doctor
    from ullage.api import document_schema as document_schema
    from ullage.api import draft_claims as draft_claims
    from ullage.api import estimate_model as estimate_model
    from ullage.api import evaluate_probe as evaluate_probe
    from ullage.api import evidence as evidence
    from ullage.api import export_probe as export_probe
    from ullage.api import fit_probe as fit_probe
    from ullage.api import gpus as gpus
    from ullage.api import guide as guide
    from ullage.api import import_probe as import_probe
    from ullage.api import load as load
    from ullage.api import model as model
    from ullage.api import models as models
    from ullage.api import open_probe as open_probe
    from ullage.api import plan as plan
    from ullage.api import plan_cluster as plan_cluster
    from ullage.api import probe_drift as probe_drift
    from ullage.api import read_plan as read_plan
    from ullage.api import read_pool as read_pool
    from ullage.api import rentals as rentals
    from ullage.api import report as report
    from ullage.api import resume as resume
    from ullage.api import run as run
    from ullage.api import run_plan as run_plan
    from ullage.api import sample as sample
    from ullage.api import sample_model as sample_model
    from ullage.api import schema as schema
    from ullage.api import status as status
    from ullage.api import talk as talk
    from ullage.api import trace as trace
    from ullage.api import verify as verify
    from ullage.api.caches import Freed as Freed
    from ullage.api.caches import clear_cache as clear_cache
    from ullage.api.extractor import Extractor as Extractor
    from ullage.api.extractor import collect as collect
    from ullage.api.extractor import sites_of as sites_of
    from ullage.capture.inputs import Inputs as Inputs
    from ullage.capture.listener import ReadSequence as ReadSequence
    from ullage.capture.reader import Chunk as Chunk
    from ullage.capture.stored import StoredStates as StoredStates
    from ullage.capture.survey import Survey as Survey
    from ullage.capture.view import StateView as StateView
    from ullage.errors import AmbiguousNameError as AmbiguousNameError
    from ullage.errors import BusyError as BusyError
    from ullage.errors import DoesNotFitError as DoesNotFitError
    from ullage.errors import EngineError as EngineError
    from ullage.errors import FormatError as FormatError
    from ullage.errors import InputError as InputError
    from ullage.errors import MissingExtraError as MissingExtraError
    from ullage.errors import MissingPackageError as MissingPackageError
    from ullage.errors import OutOfMemoryError as OutOfMemoryError
    from ullage.errors import PinnedError as PinnedError
    from ullage.errors import RefusedError as RefusedError
    from ullage.errors import SpecError as SpecError
    from ullage.errors import UllageError as UllageError
    from ullage.errors import UnknownNameError as UnknownNameError
    from ullage.errors import UnsupportedError as UnsupportedError
    from ullage.errors import WaitError as WaitError
    from ullage.facts.architecture import Architecture as Architecture
    from ullage.facts.architecture import Model as Model
    from ullage.facts.bundled import tiny_path as tiny_path
    from ullage.facts.diffusion import Pipeline as Pipeline
    from ullage.facts.gpu import Gpu as Gpu
    from ullage.facts.gpu import GpuSet as GpuSet
    from ullage.facts.health.diagnosis import Diagnosis as Diagnosis
    from ullage.facts.price import Price as Price
    from ullage.facts.price import Prices as Prices
    from ullage.kinds.evaluate.paired import PairedEvaluations as PairedEvaluations
    from ullage.kinds.evaluate.verbs import compare as compare
    from ullage.kinds.evaluate.verbs import judge as judge
    from ullage.kinds.evaluate.verbs import resample as resample
    from ullage.kinds.extract.verbs import export_states as export_states
    from ullage.kinds.extract.verbs import extract as extract
    from ullage.kinds.extract.verbs import open_states as open_states
    from ullage.kinds.extract.verbs import survey as survey
    from ullage.kinds.pii.calibration import Calibration as Calibration
    from ullage.kinds.pii.finished import calibrate_pii as calibrate_pii
    from ullage.kinds.pii.finished import compare_pii as compare_pii
    from ullage.kinds.pii.verbs import verify_pii as verify_pii
    from ullage.kinds.pii.verbs import verify_with_each as verify_with_each
    from ullage.memory.timeline import Timeline as Timeline
    from ullage.planning.advice.advise import Advised as Advised
    from ullage.planning.advice.entry import Advice as Advice
    from ullage.planning.advice.trials import SearchLimit as SearchLimit
    from ullage.planning.audit import Audit as Audit
    from ullage.planning.cluster.cluster_plan import ClusterPlan as ClusterPlan
    from ullage.planning.outcome import Outcome as Outcome
    from ullage.planning.plan import Plan as Plan
    from ullage.planning.renting import Renting as Renting
    from ullage.probes.probe import Probe as Probe
    from ullage.probes.probe import Reading as Reading
    from ullage.records.evidence import Evidence as Evidence
    from ullage.records.observation import Here as Here
    from ullage.records.pool_of_run import PoolOfRun as PoolOfRun
    from ullage.records.record import Record as Record
    from ullage.records.status import RunStatus as RunStatus
    from ullage.records.verification import Verification as Verification
    from ullage.reports.guide.guide_file import GuideChange as GuideChange
    from ullage.runtime.devices import DeviceInfo as DeviceInfo
    from ullage.runtime.devices import device_info as device_info
    from ullage.runtime.reading import PastThreshold as PastThreshold
    from ullage.runtime.reading import can_allocate as can_allocate
    from ullage.runtime.reading import check_threshold as check_threshold
    from ullage.runtime.reading import reset_peak as reset_peak
    from ullage.runtime.tokenizer import Tokenizer as Tokenizer
    from ullage.serving.made import serve as serve
    from ullage.serving.server import Listening as Listening
    from ullage.spec.positions import Positions as Positions
    from ullage.spec.price_list import read_prices as read_prices
    from ullage.spec.role_fields import RoleFields as RoleFields
    from ullage.spec.training import Lora as Lora
    from ullage.spec.training import Training as Training
    from ullage.spec.workload import Memory as Memory
    from ullage.spec.workload import Workload as Workload
    from ullage.workloads.conversation import Conversation as Conversation
    from ullage.workloads.execution import Checked as Checked
    from ullage.workloads.kind import Talk as Talk
    from ullage.workloads.repairing import RunCheck as RunCheck

__version__ = "0.1.0"
PLACES: Final = {
    "Advice": "ullage.planning.advice.entry",
    "Advised": "ullage.planning.advice.advise",
    "AmbiguousNameError": "ullage.errors",
    "Architecture": "ullage.facts.architecture",
    "Audit": "ullage.planning.audit",
    "BusyError": "ullage.errors",
    "Checked": "ullage.workloads.execution",
    "Chunk": "ullage.capture.reader",
    "ClusterPlan": "ullage.planning.cluster.cluster_plan",
    "Conversation": "ullage.workloads.conversation",
    "DeviceInfo": "ullage.runtime.devices",
    "Diagnosis": "ullage.facts.health.diagnosis",
    "DoesNotFitError": "ullage.errors",
    "EngineError": "ullage.errors",
    "Evidence": "ullage.records.evidence",
    "Extractor": "ullage.api.extractor",
    "FormatError": "ullage.errors",
    "Freed": "ullage.api.caches",
    "Gpu": "ullage.facts.gpu",
    "GpuSet": "ullage.facts.gpu",
    "GuideChange": "ullage.reports.guide.guide_file",
    "Here": "ullage.records.observation",
    "InputError": "ullage.errors",
    "Inputs": "ullage.capture.inputs",
    "Listening": "ullage.serving.server",
    "Lora": "ullage.spec.training",
    "Memory": "ullage.spec.workload",
    "MissingExtraError": "ullage.errors",
    "MissingPackageError": "ullage.errors",
    "Model": "ullage.facts.architecture",
    "OutOfMemoryError": "ullage.errors",
    "Outcome": "ullage.planning.outcome",
    "PastThreshold": "ullage.runtime.reading",
    "PinnedError": "ullage.errors",
    "Pipeline": "ullage.facts.diffusion",
    "Plan": "ullage.planning.plan",
    "PoolOfRun": "ullage.records.pool_of_run",
    "Positions": "ullage.spec.positions",
    "Price": "ullage.facts.price",
    "Prices": "ullage.facts.price",
    "Probe": "ullage.probes.probe",
    "ReadSequence": "ullage.capture.listener",
    "Reading": "ullage.probes.probe",
    "Record": "ullage.records.record",
    "RefusedError": "ullage.errors",
    "Renting": "ullage.planning.renting",
    "RoleFields": "ullage.spec.role_fields",
    "RunCheck": "ullage.workloads.repairing",
    "RunStatus": "ullage.records.status",
    "SearchLimit": "ullage.planning.advice.trials",
    "SpecError": "ullage.errors",
    "StateView": "ullage.capture.view",
    "StoredStates": "ullage.capture.stored",
    "Survey": "ullage.capture.survey",
    "Talk": "ullage.workloads.kind",
    "Timeline": "ullage.memory.timeline",
    "Tokenizer": "ullage.runtime.tokenizer",
    "Training": "ullage.spec.training",
    "UllageError": "ullage.errors",
    "UnknownNameError": "ullage.errors",
    "UnsupportedError": "ullage.errors",
    "Verification": "ullage.records.verification",
    "WaitError": "ullage.errors",
    "Workload": "ullage.spec.workload",
    "advise": "ullage.api",
    "apply_probes": "ullage.api",
    "audit": "ullage.api",
    "can_allocate": "ullage.runtime.reading",
    "cards": "ullage.api",
    "chat": "ullage.api",
    "check": "ullage.api",
    "check_guide": "ullage.api",
    "check_run": "ullage.api",
    "check_threshold": "ullage.runtime.reading",
    "clear_cache": "ullage.api.caches",
    "clear_evidence": "ullage.api",
    "cluster_file": "ullage.api",
    "collect": "ullage.api.extractor",
    "device_info": "ullage.runtime.devices",
    "doctor": "ullage.api",
    "document_schema": "ullage.api",
    "draft_claims": "ullage.api",
    "estimate_model": "ullage.api",
    "evaluate_probe": "ullage.api",
    "evidence": "ullage.api",
    "export_probe": "ullage.api",
    "fit_probe": "ullage.api",
    "gpus": "ullage.api",
    "guide": "ullage.api",
    "import_probe": "ullage.api",
    "load": "ullage.api",
    "model": "ullage.api",
    "models": "ullage.api",
    "open_probe": "ullage.api",
    "plan": "ullage.api",
    "plan_cluster": "ullage.api",
    "probe_drift": "ullage.api",
    "read_plan": "ullage.api",
    "read_pool": "ullage.api",
    "read_prices": "ullage.spec.price_list",
    "rentals": "ullage.api",
    "report": "ullage.api",
    "reset_peak": "ullage.runtime.reading",
    "resume": "ullage.api",
    "run": "ullage.api",
    "run_plan": "ullage.api",
    "sample": "ullage.api",
    "sample_model": "ullage.api",
    "schema": "ullage.api",
    "serve": "ullage.serving.made",
    "sites_of": "ullage.api.extractor",
    "status": "ullage.api",
    "talk": "ullage.api",
    "tiny_path": "ullage.facts.bundled",
    "trace": "ullage.api",
    "verify": "ullage.api",
}
"""Each public name and the module that has it, which is imported when the name is first used."""

if not TYPE_CHECKING:  # type checkers take what is imported above, and a list they cannot read for none
    __all__ = [*PLACES]


def __getattr__(name: str) -> object:
    """What is public, imported when first used, so that `import ullage` stays light.

    Verbs of kinds of workload are found through the kinds that are installed.
    """
    if name in PLACES:
        return getattr(import_module(PLACES[name]), name)
    # `from ullage import api` asks here first, and what is a room is nobody's verb.
    if not name.startswith("_") and find_spec(f"{__name__}.{name}") is None:
        from ullage.workloads.registry import find_verb

        verb = find_verb(name)
        if verb is not None:
            return verb
    raise AttributeError(f"module 'ullage' has no attribute {name!r}")


def __dir__() -> list[str]:
    from ullage.workloads.registry import verb_names

    return sorted({*PLACES, *verb_names(), *(name for name in globals() if name.startswith("__"))})
