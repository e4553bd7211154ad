"""Faults that the tests must find: each is a small change of the code that makes it wrong."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Break:
    """One fault.

    Attributes:
        name: What is wrong then.
        old: Code that stands in exactly one place of the package; spaces and line breaks in it
            match any others.
        new: What takes its place.
        tests: Patterns of the test files that concern it, from the root of the repository. Files
            move: those that match nothing are left out.
    """

    name: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def pattern(self) -> re.Pattern[str]:
        """Finds ``old`` however its lines are broken."""
        return re.compile(r"\s+".join(map(re.escape, self.old.split())))


_GRAPH = ("tests/**/test_graph.py", "tests/**/test_op.py", "tests/**/test_lowering.py")
_NETWORK = ("tests/**/test_network.py",)
_TFLITE = ("tests/**/test_tflite.py", "tests/tflite/test_writer.py")
_TFLITE_IMPORT = ("tests/**/test_tflite_import.py", "tests/tflite/test_importer.py")
_TORCH_IMPORT = ("tests/**/test_torch_import.py", "tests/torch_import/test_importer.py")
_SPACE = ("tests/**/test_space.py", "tests/**/test_search_space.py", "tests/**/test_mnasnet.py")
_STORE = ("tests/data/**/test_store.py", "tests/**/test_measurement_store.py")
_MEASUREMENT = ("tests/**/test_measurement.py",)
_TABLE = (
    "tests/**/test_table_predictor.py",
    "tests/predictors/table/test_predictor.py",
    "tests/**/test_estimators.py",
)
_HOST = ("tests/**/test_host.py", "tests/profiling/host/*.py")
_SWEEP = ("tests/**/test_sweep.py",)
_OUTPUT = ("tests/**/test_output.py",)
_GUARD = ("tests/**/test_guard.py",)
_READINESS = (
    *_GUARD,
    "tests/**/test_fitness.py",
    "tests/**/test_readiness.py",
    "tests/**/test_measuring.py",
    "tests/**/test_measurement_loop.py",
)
_BATCH = ("tests/**/test_sitting.py", "tests/**/test_batch.py")
_LOOP = ("tests/**/test_measuring.py", "tests/**/test_measurement_loop.py")
_CONDITIONS = ("tests/**/phone/**/test_conditions.py",)
_KERNEL = ("tests/**/test_kernel_model.py",)
_CALIBRATED = ("tests/**/test_calibrated.py", "tests/predictors/calibration/test_predictor.py")
_CORRECTION = ("tests/**/test_correction.py", *_CALIBRATED)
_FINGERPRINT = ("tests/**/test_cost_fingerprint.py", "tests/**/test_term_fingerprint.py")
_COST = ("tests/**/test_cost_model.py", "tests/predictors/cost_model/test_model.py")
_COMPILED = ("tests/predictors/**/test_compiled.py", "tests/**/test_compiled_predictor.py")
_PPO = ("tests/**/test_ppo.py",)
_ACCURACY = (
    "tests/**/test_accuracy.py",
    "tests/**/test_accuracy_cache.py",
    "tests/search/**/test_run.py",
    "tests/search/**/test_search.py",
)
_VALIDATION = ("tests/search/**/test_validation.py",)
_RESUME = ("tests/**/test_resume.py",)
_FROM_FILE = (
    "tests/**/test_cost_model.py",
    "tests/**/test_calibrated.py",
    "tests/**/test_measurement_checks.py",
    "tests/**/test_measurements.py",
    "tests/**/test_measurement_file.py",
    "tests/**/test_calibrate_from_file.py",
)

BREAKS = (
    # --- Architectures, graphs and their files ----------------------------------------------------
    Break(
        "a strided window drops the last pixel of an odd size",
        "return (-(-height // down), -(-width // right),",
        "return (height // down, width // right,",
        _GRAPH,
    ),
    Break(
        "a padded window counts one position too many",
        "(size + before + after - reach) // self.stride[axis] + 1",
        "(size + before + after - reach + 1) // self.stride[axis] + 1",
        (*_GRAPH, *_TORCH_IMPORT),
    ),
    Break(
        "the skip of a strided block adds its input without pooling",
        'name="skip_pool")) source = len(ops)',
        'name="skip_pool"))',
        (*_GRAPH, *_NETWORK),
    ),
    Break(
        "the squeeze layer takes the network's activation instead of ReLU",
        'filters=layer.squeeze_filters, activation="relu",',
        "filters=layer.squeeze_filters, activation=activation,",
        (*_GRAPH, "tests/**/test_zoo.py"),
    ),
    Break(
        "batch norm is folded without its epsilon",
        "(own.running_var.double() + BATCH_NORM_EPSILON).sqrt()",
        "own.running_var.double().sqrt()",
        (*_NETWORK, *_TFLITE),
    ),
    Break(
        "rows and columns of depthwise kernels are swapped",
        "weight[:, 0].permute(1, 2, 0)",
        "weight[:, 0].permute(2, 1, 0)",
        (*_NETWORK, *_TFLITE),
    ),
    Break(
        "padding at stride 2 goes above and to the left",
        "pads += [total // 2, total - total // 2]",
        "pads += [total - total // 2, total // 2]",
        (*_NETWORK, *_TFLITE),
    ),
    Break(
        "the file writer swaps the strides of height and width",
        "options.strideH, options.strideW = op.stride",
        "options.strideW, options.strideH = op.stride",
        _TFLITE_IMPORT,
    ),
    Break(
        "the .tflite importer takes the padding of the width for that of the height",
        "padding=tuple(pads[2:6])",
        "padding=(*pads[4:6], *pads[2:4])",
        _TFLITE_IMPORT,
    ),
    Break(
        "the torch importer mixes up the padding of height and width",
        "(pads[0], pads[0], pads[1], pads[1])",
        "(pads[0], pads[1], pads[0], pads[1])",
        _TORCH_IMPORT,
    ),
    Break(
        "the torch importer forgets the groups of a transposed convolution",
        "weight.shape[1] * groups, groups, pads",
        "weight.shape[1], groups, pads",
        _TORCH_IMPORT,
    ),
    Break(
        "negative tokens count from the end",
        "np.flatnonzero((row < 0) | (row >= self.n_choices))",
        "np.flatnonzero(row >= self.n_choices)",
        _SPACE,
    ),
    Break(
        "of choices that mean the same network the last one is read back",
        "unscaled[0] if unscaled",
        "unscaled[-1] if unscaled",
        _SPACE,
    ),
    # --- Measurements -----------------------------------------------------------------------------
    Break(
        "latencies of different numbers of threads are mixed",
        "canonical = json.dumps(asdict(self), sort_keys=True)",
        'canonical = json.dumps({**asdict(self), "threads": 1}, sort_keys=True)',
        (*_MEASUREMENT, *_STORE),
    ),
    Break(
        "a latency is that of the last round instead of the fastest",
        "return min(self.round_min_ms)",
        "return self.round_min_ms[-1]",
        (*_MEASUREMENT, *_STORE),
    ),
    Break(
        "the store drops the first row that it reads",
        "for signature, min_ms, n_runs in rows:",
        "for signature, min_ms, n_runs in rows[1:]:",
        _STORE,
    ),
    Break(
        "the first predictor by name passes for the newest one",
        "sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)",
        "sorted(folder.glob(pattern), key=lambda path: path.name)",
        ("tests/**/test_workspace.py",),
    ),
    Break(
        "latencies of the host are a thousand times too large",
        ".astype(np.float32) / np.float32(1e6)",
        ".astype(np.float32) / np.float32(1e3)",
        _HOST,
    ),
    Break(
        "the worker stops before the fewest runs that were asked for",
        "(total < budget_ns or len(runs) < least) and len(runs) < most",
        "total < budget_ns and len(runs) < most",
        _HOST,
    ),
    Break(
        "rounds that disagree by a factor of two count as agreeing",
        "found.spread <= self.plan.agreement",
        "found.spread <= 1.0 + self.plan.agreement",
        _SWEEP,
    ),
    Break(
        "the rounds of a sweep are measured in the order of the list",
        "order = [due[i] for i in rng.permutation(len(due))]",
        "order = list(due)",
        _SWEEP,
    ),
    Break(
        "the benchmark tool's whole microseconds are taken as exact",
        "min(timed.min_us + 0.5, timed.mean_us) / 1e3",
        "timed.min_us / 1e3",
        _OUTPUT,
    ),
    Break(
        "a battery's temperature is ten times too low",
        "temperature / 10 if temperature else None",
        "temperature / 100 if temperature else None",
        _CONDITIONS,
    ),
    Break(
        "a sentinel model that becomes faster raises no alarm",
        "if abs(change) <= self.policy.sentinel_drift:",
        "if change <= self.policy.sentinel_drift:",
        _GUARD,
    ),
    Break(
        "a phone that only a person can make ready is waited for",
        "if not all(each.waits for each in problems) or",
        "if not any(each.waits for each in problems) or",
        _READINESS,
    ),
    Break(
        "rounds that are repeated are counted again with every notice",
        "n_repeated=n_discarded) n_discarded = 0",
        "n_repeated=n_discarded)",
        _READINESS,
    ),
    Break(
        "the end of another model's run is taken for this one's",
        "if number == str(index) and _below(status, 256) and len(clocks) == 2:",
        "if _below(status, 256) and len(clocks) == 2:",
        _BATCH,
    ),
    Break(
        "a clock that was lowered during a run goes unnoticed",
        "min(most_khz, default=None)",
        "max(most_khz, default=None)",
        _LOOP,
    ),
    # --- Predictors -------------------------------------------------------------------------------
    Break(
        "a layer measured again keeps its old latency",
        "{**self.table.rows, **rows}",
        "{**rows, **self.table.rows}",
        _TABLE,
    ),
    Break(
        "the kernel model fits slow layers only",
        "nnls(scaled / latency_ms[:, None], np.ones(len(graphs)))",
        "nnls(scaled, latency_ms)",
        _KERNEL,
    ),
    Break(
        "the kernel model's trees learn the inverse of the error",
        "np.log(latency_ms / roofline_ms), _TREES",
        "np.log(roofline_ms / latency_ms), _TREES",
        _KERNEL,
    ),
    Break(
        "intervals of a calibrated predictor miss one network in their quantile",
        "rank = math.ceil((n + 1) * coverage)",
        "rank = math.ceil(n * coverage)",
        _CALIBRATED,
    ),
    Break(
        "weights that stay in the cache cost as much as those that do not",
        "self.ms_per_weight_mb * np.maximum(0.0, weights_mb - self.cache_mb)",
        "self.ms_per_weight_mb * weights_mb",
        _CORRECTION,
    ),
    Break(
        "the cost model does not round rows up to tiles",
        "_up(sizes.c_out, 8) * _up(rows, 8)",
        "_up(sizes.c_out, 8) * rows",
        (*_FINGERPRINT, *_COST),
    ),
    Break(
        "the cost model takes a deviation for a variance",
        "np.linalg.inv(covariance + np.diag(noise**2",
        "np.linalg.inv(covariance + np.diag(noise",
        _COST,
    ),
    Break(
        "the cost model turns round what other devices taught it",
        "= log_ms - offset",
        "= log_ms + offset",
        _COST,
    ),
    Break(
        "microseconds pass for milliseconds",
        "_OTHER_UNIT = math.sqrt(1000.0)",
        "_OTHER_UNIT = 1000.0**2",
        _FROM_FILE,
    ),
    Break(
        "strides of the compiled tables are off by one decision",
        "math.prod(part.sizes[number + 1 :])",
        "math.prod(part.sizes[number:])",
        _COMPILED,
    ),
    Break(
        "errors are relative to the prediction",
        "np.round(predicted_ms / measured_ms - 1.0, 12)",
        "np.round(1.0 - measured_ms / predicted_ms, 12)",
        ("tests/predictors/**/test_evaluation.py",),
    ),
    # --- Search -----------------------------------------------------------------------------------
    Break(
        "the reward grows with the latency",
        "accuracy * (latency_ms / target) ** exponent",
        "accuracy * (latency_ms / target) ** -exponent",
        ("tests/**/test_reward.py",),
    ),
    Break(
        "every round begins the targets of a range anew",
        "begin = first - _BLOCK * blocks.start",
        "begin = 0",
        ("tests/**/test_targets.py",),
    ),
    Break(
        "the Pareto front keeps networks that are slower and no more accurate",
        "accuracy[order] > best_before",
        "accuracy[order] >= best_before",
        ("tests/**/test_pareto.py",),
    ),
    Break(
        "the loss of PPO takes the larger of its two terms",
        "torch.minimum(ratio * advantages, clipped * advantages)",
        "torch.maximum(ratio * advantages, clipped * advantages)",
        _PPO,
    ),
    Break(
        "advantages ignore that some targets are harder than others",
        "else baseline + mean - rewards.mean()",
        "else baseline",
        _PPO,
    ),
    Break(
        "the same network under other tokens is evaluated twice",
        "if network not in self._by_network:",
        "if network not in missing:",
        _ACCURACY,
    ),
    Break(
        "rewards are not computed again after a re-calibration",
        "now.reward[:] = rewards_of(",
        "_ = rewards_of(",
        _VALIDATION,
    ),
    Break(
        "a cell of an accuracy table is read as the next smaller choice",
        "return float(cell) == choice",
        "return float(cell) >= choice",
        ("tests/**/test_table_accuracy.py", "tests/search/accuracy/test_table.py"),
    ),
    Break(
        "a resumed search draws its random numbers anew",
        'self._generator.set_state(state["generator"]) self._entropy_bonus =',
        "self._entropy_bonus =",
        (*_PPO, *_RESUME),
    ),
    Break(
        "a resumed search keeps the round that it repeats",
        "DELETE FROM {table} WHERE round >= ?",
        "DELETE FROM {table} WHERE round > ?",
        _RESUME,
    ),
    Break(
        "red and blue of image files are swapped",
        "np.asarray(square, np.uint8).transpose(2, 0, 1)",
        "np.asarray(square, np.uint8)[..., ::-1].transpose(2, 0, 1)",
        ("tests/**/test_image_folder.py",),
    ),
    # --- Command line -----------------------------------------------------------------------------
    Break(
        "minutes are read as seconds",
        '"m": 60.0, "min": 60.0',
        '"m": 1.0, "min": 60.0',
        ("tests/**/test_errors_and_units.py", "tests/**/test_units.py"),
    ),
    Break(
        "a layer's share is a percentage in JSON",
        'layer["latency_ms"] / self.explanation.latency_ms',
        '100.0 * layer["latency_ms"] / self.explanation.latency_ms',
        ("tests/**/test_predicting.py", "tests/**/test_predict.py"),
    ),
)
