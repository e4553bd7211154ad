"""Networks of other people's zoos import, with the multiply-adds that torch itself counts."""

import csv
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mnaslat.graph import Graph
from mnaslat.torch_import import graph_from_torch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # of the zoos' own code
]

# Real networks with their multiply-adds as measured by others; not part of the repository.
_MEASURED = Path(
    os.environ.get(
        "MNASLAT_FULL_MODELS",
        Path(__file__).resolve().parents[2] / "shared/data/phones_full_models/tflite_cnn_e2e.csv",
    )
)

TIMM = (
    "bat_resnext26ts botnet26t_256 caformer_s18 coatnet_0_rw_224 convformer_s18 convmixer_768_32 "
    "convnext_tiny convnextv2_atto cs3darknet_m cspresnet50 cspdarknet53 darknet53 densenet121 "
    "dla34 dla60_res2net dm_nfnet_f0 dpn68 eca_nfnet_l0 ecaresnet26t "
    "efficientformer_l1 efficientnet_b0 efficientnet_lite0 efficientnetv2_rw_t efficientvit_b0 "
    "ese_vovnet19b_dw fasternet_t0 fastvit_t8 fbnetc_100 fbnetv3_b focalnet_tiny_srf gernet_s "
    "ghostnet_100 ghostnetv2_100 gcresnext26ts hardcorenas_a hgnet_tiny hgnetv2_b0 hrnet_w18_small "
    "inception_next_tiny inception_resnet_v2 inception_v3 inception_v4 lcnet_050 levit_conv_128s "
    "mambaout_femto mixnet_s mnasnet_100 mobilenetv1_100 mobilenetv2_100 mobilenetv3_large_100 "
    "mobilenetv3_small_050 mobilenetv4_conv_small mobilenetv4_hybrid_medium mobileone_s0 "
    "nasnetalarge nf_resnet50 nf_regnet_b0 pnasnet5large poolformer_s12 regnetx_002 regnety_002 "
    "repghostnet_050 repvgg_a0 repvit_m0_9 res2net50_14w_8s resnest14d resnest50d resnet18 "
    "resnet50 resnet50d resnetblur50 resnetrs50 resnetv2_50 resnext50_32x4d rexnet_100 selecsls42b "
    "semnasnet_100 seresnet50 shvit_s1 skresnet18 spnasnet_100 starnet_s1 swiftformer_xs "
    "tf_efficientnet_b0 tf_efficientnetv2_b0 tf_mixnet_s tf_mobilenetv3_small_minimal_100 "
    "tinynet_e tresnet_m vgg11 vgg16_bn visformer_tiny wide_resnet50_2 xception41 xception65p"
).split()


def _counted(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds that torch counts, on tensors without memory."""
    module = module.eval().to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.empty(shape, device="meta"))
    return int(counter.get_total_flops()) // 2


def _checked(module: nn.Module, shape: tuple[int, ...]) -> Graph:
    graph = graph_from_torch(module, shape)
    assert Graph.parse(graph.signature).signature == graph.signature
    assert graph.madds == _counted(module, shape)
    return graph


def _rows() -> list[dict[str, str]]:
    if not _MEASURED.exists():
        return []
    with open(_MEASURED, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_measured_network_of_pytorchcv_imports() -> None:
    provider: Any = pytest.importorskip(
        "pytorchcv.model_provider", reason="pytorchcv (and torchvision with it) is not installed"
    )
    rows = _rows()
    if not rows:
        pytest.skip(f"there is no {_MEASURED}; set MNASLAT_FULL_MODELS")
    assert len(rows) == 102
    for row in rows:
        graph = _checked(provider.get_model(row["model"]), (1, 3, 224, 224))
        assert graph.madds == pytest.approx(int(row["FLOPS"]) / 2, rel=0.05), row["model"]


@pytest.mark.parametrize("name", TIMM)
def test_networks_of_timm_import(name: str) -> None:
    timm: Any = pytest.importorskip("timm", reason="timm is not installed")
    if name not in timm.list_models():
        pytest.skip(f"this timm has no {name}")
    with torch.device("meta"):
        module = timm.create_model(name, pretrained=False)
    _checked(module, (1, *module.default_cfg["input_size"]))


def test_mobilenet_v2_imports_in_one_and_a_half_seconds() -> None:
    models: Any = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    module = models.mobilenet_v2()
    start = time.perf_counter()
    graph = graph_from_torch(module)
    assert time.perf_counter() - start <= 1.5
    assert graph.madds == 300_774_272
