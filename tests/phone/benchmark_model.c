/* A benchmark_model for the phone in software.
 *
 * It times models with LiteRT, takes the flags of TensorFlow Lite's tool of that name and prints
 * what that tool prints, in the wording before or after the build that put "INFO: " before its
 * lines (the sources: tensorflow lite/tools/benchmark/benchmark_model.cc, lite/tools/logging.h and
 * tsl/util/stats_calculator.h). What it is to do wrong stands in /system/etc/phone/benchmark, one
 * "key=value" a line; benchmark_model.py describes the keys. Two files in /metadata/phone say what
 * was started: "started" grows by one byte a run, "runs" by one line.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SETTINGS "/system/etc/phone/benchmark"
#define STARTED "/metadata/phone/started"
#define RUNS "/metadata/phone/runs"
#define LITERT "/system/lib64/libLiteRt.so"

/* ---------------------------------------------------------------- settings: how to misbehave */

struct settings {
  char format[16], mode[16], fault[16], unknown_flags[16];
  long fault_after, fault_until; /* counted from 0; until < 0: for ever */
  uint32_t fault_crc;
  int only_crc, gpu;
  double slow, sleep_ms;
};

static struct settings settings = {
    .format = "new", .mode = "run", .fault = "none", .unknown_flags = "warn",
    .fault_until = -1, .slow = 1.0};

static void read_settings(void) {
  FILE *file = fopen(SETTINGS, "re");
  char line[256];
  if (!file) return;
  while (fgets(line, sizeof line, file)) {
    char *value = strchr(line, '=');
    line[strcspn(line, "\n")] = 0;
    if (!value) continue;
    *value++ = 0;
    if (!strcmp(line, "format")) snprintf(settings.format, 16, "%.15s", value);
    if (!strcmp(line, "mode")) snprintf(settings.mode, 16, "%.15s", value);
    if (!strcmp(line, "fault")) snprintf(settings.fault, 16, "%.15s", value);
    if (!strcmp(line, "unknown_flags")) snprintf(settings.unknown_flags, 16, "%.15s", value);
    if (!strcmp(line, "fault_after")) settings.fault_after = atol(value);
    if (!strcmp(line, "fault_until")) settings.fault_until = atol(value);
    if (!strcmp(line, "slow")) settings.slow = atof(value);
    if (!strcmp(line, "sleep_ms")) settings.sleep_ms = atof(value);
    if (!strcmp(line, "gpu")) settings.gpu = !strcmp(value, "yes");
    if (!strcmp(line, "fault_crc")) {
      settings.only_crc = 1;
      settings.fault_crc = (uint32_t)strtoul(value, NULL, 16);
    }
  }
  fclose(file);
}

/* ---------------------------------------------------------------- flags: those of the real tool */

struct flags {
  char graph[1024];
  int num_runs, warmup_runs, num_threads;
  double min_secs, max_secs, warmup_min_secs;
  int use_xnnpack, use_gpu, use_nnapi, report_peak_memory_footprint; /* -1: not given */
  char unknown[1024];
};

static struct flags flags = {
    .num_runs = 50, .warmup_runs = 1, .num_threads = -1, .min_secs = 1.0, .max_secs = 150.0,
    .warmup_min_secs = 0.5, .use_xnnpack = -1, .use_gpu = -1, .use_nnapi = -1,
    .report_peak_memory_footprint = -1};

static int is_old(void) { return !strcmp(settings.format, "old"); }

static void say(const char *format, ...) {
  va_list values;
  va_start(values, format);
  if (!is_old()) fputs("INFO: ", stdout);
  vprintf(format, values);
  putchar('\n');
  va_end(values);
  fflush(stdout);
}

static void warn(const char *format, ...) {
  va_list values;
  va_start(values, format);
  if (!is_old()) fputs("WARN: ", stdout);
  vprintf(format, values);
  putchar('\n');
  va_end(values);
  fflush(stdout);
}

static void complain(const char *format, ...) {
  va_list values;
  va_start(values, format);
  if (!is_old()) fputs("ERROR: ", stderr);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
  va_end(values);
}

static int fail(void) {
  complain("Benchmarking failed.");
  return EXIT_FAILURE;
}

/* 1: read; 0: not a flag of that name; -1: the value is none. */
static int whole(const char *argument, const char *name, int *value) {
  size_t length = strlen(name);
  char *end;
  if (strncmp(argument, name, length)) return 0;
  *value = (int)strtol(argument + length, &end, 10);
  return *end || !argument[length] ? -1 : 1;
}

static int number(const char *argument, const char *name, double *value) {
  size_t length = strlen(name);
  char *end;
  if (strncmp(argument, name, length)) return 0;
  *value = strtod(argument + length, &end);
  return *end || !argument[length] ? -1 : 1;
}

static int truth(const char *argument, const char *name, int *value) {
  size_t length = strlen(name);
  if (strncmp(argument, name, length)) return 0;
  *value = !strcmp(argument + length, "true") || !strcmp(argument + length, "1");
  return *value || !strcmp(argument + length, "false") || !strcmp(argument + length, "0") ? 1 : -1;
}

static int read_flags(int n_arguments, char **arguments) {
  for (int i = 1; i < n_arguments; i++) {
    const char *argument = arguments[i];
    int known = 0, ignored;
    double ignored_number;
    known += whole(argument, "--num_runs=", &flags.num_runs);
    known += whole(argument, "--warmup_runs=", &flags.warmup_runs);
    known += whole(argument, "--num_threads=", &flags.num_threads);
    known += number(argument, "--min_secs=", &flags.min_secs);
    known += number(argument, "--max_secs=", &flags.max_secs);
    known += number(argument, "--warmup_min_secs=", &flags.warmup_min_secs);
    known += number(argument, "--run_delay=", &ignored_number);
    known += truth(argument, "--use_xnnpack=", &flags.use_xnnpack);
    known += truth(argument, "--use_gpu=", &flags.use_gpu);
    known += truth(argument, "--use_nnapi=", &flags.use_nnapi);
    known += truth(argument, "--report_peak_memory_footprint=",
                   &flags.report_peak_memory_footprint);
    known += truth(argument, "--enable_op_profiling=", &ignored);
    known += truth(argument, "--allow_fp16=", &ignored);
    if (!strncmp(argument, "--graph=", 8)) {
      snprintf(flags.graph, sizeof flags.graph, "%s", argument + 8);
      known = 1;
    }
    if (known < 0 || !strcmp(argument, "--help") || !strcmp(argument, "--help=true")) {
      complain("usage: %s\nFlags:\n\t--num_runs=50\tint32\toptional\texpected number of runs",
               arguments[0]);
      return -1;
    }
    if (!known) {
      size_t used = strlen(flags.unknown);
      snprintf(flags.unknown + used, sizeof flags.unknown - used, "%s%s", used ? " " : "",
               argument);
    }
  }
  if (flags.unknown[0]) {
    warn("Unconsumed cmdline flags: %s", flags.unknown);
    if (!strcmp(settings.unknown_flags, "fail")) return -1;
  }
  return 0;
}

static void say_flags(void) {
  say("Log parameter values verbosely: [0]");
  say("Min num runs: [%d]", flags.num_runs);
  say("Min runs duration (seconds): [%g]", flags.min_secs);
  say("Max runs duration (seconds): [%g]", flags.max_secs);
  say("Num threads: [%d]", flags.num_threads);
  say("Min warmup runs: [%d]", flags.warmup_runs);
  say("Min warmup runs duration (seconds): [%g]", flags.warmup_min_secs);
  if (flags.report_peak_memory_footprint >= 0)
    say("Report the peak memory footprint: [%d]", flags.report_peak_memory_footprint);
  say("Graph: [%s]", flags.graph);
  if (flags.use_xnnpack >= 0) say("Use xnnpack: [%d]", flags.use_xnnpack);
  if (flags.use_gpu >= 0) say("Use gpu: [%d]", flags.use_gpu);
  if (flags.use_nnapi >= 0) say("Use NNAPI: [%d]", flags.use_nnapi);
}

/* ---------------------------------------------------------------- what was started */

/* How many runs were started before this one. */
static long note_start(int n_arguments, char **arguments) {
  int file = open(STARTED, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  int runs = open(RUNS, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  long index = 0;
  char line[4096];
  cpu_set_t cores;
  size_t used = 0;
  CPU_ZERO(&cores);
  if (!sched_getaffinity(0, sizeof cores, &cores))
    for (int i = 0; i < 64; i++)
      if (CPU_ISSET(i, &cores))
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%d", used ? "," : "", i);
  for (int i = 1; i < n_arguments && used < sizeof line - 1100; i++)
    used += (size_t)snprintf(line + used, sizeof line - used, " %.1024s", arguments[i]);
  used += (size_t)snprintf(line + used, sizeof line - used, "\n");
  if (file < 0) return 0;
  flock(file, LOCK_EX);
  if (runs >= 0 && write(runs, line, used) < 0) perror(RUNS);
  index = (long)lseek(file, 0, SEEK_END);
  if (write(file, ".", 1) < 0) perror(STARTED);
  if (runs >= 0) close(runs);
  close(file); /* unlocks */
  return index;
}

/* ---------------------------------------------------------------- statistics */

static int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct timings {
  int64_t *us;
  long n, room;
};

static void keep(struct timings *timings, int64_t us) {
  if (timings->n == timings->room) {
    timings->room = timings->room ? 2 * timings->room : 1024;
    timings->us = realloc(timings->us, (size_t)timings->room * sizeof *timings->us);
    if (!timings->us) abort();
  }
  timings->us[timings->n++] = (int64_t)llround((double)us * settings.slow);
}

static double mean(const struct timings *timings) {
  double sum = 0;
  for (long i = 0; i < timings->n; i++) sum += (double)timings->us[i];
  return timings->n ? sum / (double)timings->n : 0; /* the tool's NaN of a whole number is 0 */
}

static int by_value(const void *one, const void *other) {
  int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
  return a < b ? -1 : a > b;
}

static void describe(const struct timings *timings, char *text, size_t size) {
  long n = timings->n;
  int64_t *sorted = malloc((size_t)(n + 1) * sizeof *sorted);
  int used;
  if (!sorted) abort();
  memcpy(sorted, timings->us, (size_t)n * sizeof *sorted);
  qsort(sorted, (size_t)n, sizeof *sorted, by_value);
  used = snprintf(text, size, "count=%ld", n);
  if (n && sorted[0] == sorted[n - 1]) {
    used += snprintf(text + used, size - (size_t)used, " curr=%ld%s", (long)sorted[0],
                     n > 1 ? "(all same)" : "");
  } else if (n) {
    double average = mean(timings), squares = 0;
    for (long i = 0; i < n; i++)
      squares += ((double)sorted[i] - average) * ((double)sorted[i] - average);
    used += snprintf(text + used, size - (size_t)used,
                     " first=%ld curr=%ld min=%ld max=%ld avg=%g std=%ld", (long)timings->us[0],
                     (long)timings->us[n - 1], (long)sorted[0], (long)sorted[n - 1], average,
                     (long)sqrt(squares / (double)n));
  }
  if (!is_old())
    snprintf(text + used, size - (size_t)used, " p5=%ld median=%ld p95=%ld",
             n ? (long)sorted[n * 5 / 100] : 0, n ? (long)sorted[n * 50 / 100] : 0,
             n ? (long)sorted[n * 95 / 100] : 0);
  free(sorted);
}

/* ---------------------------------------------------------------- models */

static unsigned char *graph;
static size_t graph_bytes;

static int read_graph(void) {
  struct stat facts;
  int file = open(flags.graph, O_RDONLY | O_CLOEXEC);
  if (file < 0 || fstat(file, &facts) || !S_ISREG(facts.st_mode)) {
    if (file >= 0) close(file);
    return -1;
  }
  graph = malloc((size_t)facts.st_size + 1);
  while (graph && graph_bytes < (size_t)facts.st_size) {
    ssize_t n = read(file, graph + graph_bytes, (size_t)facts.st_size - graph_bytes);
    if (n <= 0) break;
    graph_bytes += (size_t)n;
  }
  close(file);
  return graph && graph_bytes == (size_t)facts.st_size ? 0 : -1;
}

static uint32_t graph_crc(void) { /* CRC-32 as zlib has it */
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < graph_bytes; i++) {
    crc ^= graph[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

/* LiteRT's C interface, as far as it is used here. */
typedef void *handle;
static int (*CreateEnvironment)(int, const void *, handle *);
static int (*CreateModelFromBuffer)(handle, const void *, size_t, handle *);
static int (*CreateOptions)(handle *);
static int (*SetOptionsHardwareAccelerators)(handle, int);
static int (*CreateOpaqueOptions)(const char *, void *, void (*)(void *), handle *);
static int (*AddOpaqueOptions)(handle, handle);
static int (*CreateCompiledModel)(handle, handle, handle, handle *);
static int (*GetModelSignature)(handle, uintptr_t, handle *);
static int (*GetModelSubgraph)(handle, uintptr_t, handle *);
static int (*GetNumSubgraphOps)(handle, uintptr_t *);
static int (*GetNumSignatureInputs)(handle, uintptr_t *);
static int (*GetNumSignatureOutputs)(handle, uintptr_t *);
static int (*GetSignatureInputTensorByIndex)(handle, uintptr_t, handle *);
static int (*GetSignatureOutputTensorByIndex)(handle, uintptr_t, handle *);
static int (*GetRankedTensorType)(handle, void *);
static int (*InputRequirements)(handle, uintptr_t, uintptr_t, handle *);
static int (*OutputRequirements)(handle, uintptr_t, uintptr_t, handle *);
static int (*CreateBuffer)(handle, const void *, handle, handle *);
static int (*LockTensorBuffer)(handle, void **, int);
static int (*UnlockTensorBuffer)(handle);
static int (*GetTensorBufferPackedSize)(handle, size_t *);
static int (*RunCompiledModel)(handle, uintptr_t, size_t, handle *, size_t, handle *);

static const struct {
  const char *name;
  void *function;
} interface[] = {
    {"LiteRtCreateEnvironment", &CreateEnvironment},
    {"LiteRtCreateModelFromBuffer", &CreateModelFromBuffer},
    {"LiteRtCreateOptions", &CreateOptions},
    {"LiteRtSetOptionsHardwareAccelerators", &SetOptionsHardwareAccelerators},
    {"LiteRtCreateOpaqueOptions", &CreateOpaqueOptions},
    {"LiteRtAddOpaqueOptions", &AddOpaqueOptions},
    {"LiteRtCreateCompiledModel", &CreateCompiledModel},
    {"LiteRtGetModelSignature", &GetModelSignature},
    {"LiteRtGetModelSubgraph", &GetModelSubgraph},
    {"LiteRtGetNumSubgraphOps", &GetNumSubgraphOps},
    {"LiteRtGetNumSignatureInputs", &GetNumSignatureInputs},
    {"LiteRtGetNumSignatureOutputs", &GetNumSignatureOutputs},
    {"LiteRtGetSignatureInputTensorByIndex", &GetSignatureInputTensorByIndex},
    {"LiteRtGetSignatureOutputTensorByIndex", &GetSignatureOutputTensorByIndex},
    {"LiteRtGetRankedTensorType", &GetRankedTensorType},
    {"LiteRtGetCompiledModelInputBufferRequirements", &InputRequirements},
    {"LiteRtGetCompiledModelOutputBufferRequirements", &OutputRequirements},
    {"LiteRtCreateManagedTensorBufferFromRequirements", &CreateBuffer},
    {"LiteRtLockTensorBuffer", &LockTensorBuffer},
    {"LiteRtUnlockTensorBuffer", &UnlockTensorBuffer},
    {"LiteRtGetTensorBufferPackedSize", &GetTensorBufferPackedSize},
    {"LiteRtRunCompiledModel", &RunCompiledModel},
};

#define MOST_TENSORS 16
static handle environment, compiled, inputs[MOST_TENSORS], outputs[MOST_TENSORS];
static uintptr_t n_inputs, n_outputs, n_nodes;

static void nothing(void *ignored) { (void)ignored; }

static int load_litert(void) {
  void *library = dlopen(LITERT, RTLD_NOW);
  if (!library) {
    complain("%s", dlerror());
    return -1;
  }
  for (size_t i = 0; i < sizeof interface / sizeof *interface; i++) {
    void *function = dlsym(library, interface[i].name);
    if (!function) {
      complain("%s has no %s.", LITERT, interface[i].name);
      return -1;
    }
    memcpy(interface[i].function, &function, sizeof function);
  }
  return CreateEnvironment(0, NULL, &environment) ? -1 : 0;
}

static void fill(handle buffer, int element_type) {
  size_t n_bytes;
  void *values;
  if (GetTensorBufferPackedSize(buffer, &n_bytes) || LockTensorBuffer(buffer, &values, 1)) return;
  if (element_type == 1) /* float32 */
    for (size_t i = 0; i < n_bytes / 4; i++)
      ((float *)values)[i] = (float)((double)(i * 7919 % 1000) / 500.0 - 1.0);
  else
    memset(values, 3, n_bytes);
  UnlockTensorBuffer(buffer);
}

#define CHECK(call) \
  do {              \
    if (call) return -1; \
  } while (0)

static int build(void) {
  static char threads[64]; /* the options keep the pointer */
  handle model, options, xnnpack, signature, subgraph, tensor, wanted;
  snprintf(threads, sizeof threads, "num_threads = %d\n",
           flags.num_threads > 0 ? flags.num_threads : 1);
  CHECK(CreateModelFromBuffer(environment, graph, graph_bytes, &model));
  CHECK(CreateOptions(&options));
  CHECK(SetOptionsHardwareAccelerators(options, 1));
  CHECK(CreateOpaqueOptions("xnnpack", threads, nothing, &xnnpack));
  CHECK(AddOpaqueOptions(options, xnnpack));
  CHECK(CreateCompiledModel(environment, model, options, &compiled));
  CHECK(GetModelSubgraph(model, 0, &subgraph));
  CHECK(GetNumSubgraphOps(subgraph, &n_nodes));
  CHECK(GetModelSignature(model, 0, &signature));
  CHECK(GetNumSignatureInputs(signature, &n_inputs));
  CHECK(GetNumSignatureOutputs(signature, &n_outputs));
  CHECK(n_inputs > MOST_TENSORS || n_outputs > MOST_TENSORS);
  for (uintptr_t i = 0; i < n_inputs + n_outputs; i++) {
    int is_input = i < n_inputs;
    uintptr_t at = is_input ? i : i - n_inputs;
    char type[512] = {0};
    int element_type;
    CHECK((is_input ? GetSignatureInputTensorByIndex
                    : GetSignatureOutputTensorByIndex)(signature, at, &tensor));
    CHECK(GetRankedTensorType(tensor, type));
    CHECK((is_input ? InputRequirements : OutputRequirements)(compiled, 0, at, &wanted));
    CHECK(CreateBuffer(environment, type, wanted, is_input ? &inputs[at] : &outputs[at]));
    memcpy(&element_type, type, sizeof element_type);
    if (is_input) fill(inputs[at], element_type);
  }
  return 0;
}

static void say_delegates(void) {
  if (flags.use_gpu == 1 && settings.gpu) {
    fprintf(stderr, "INFO: Created TensorFlow Lite delegate for GPU.\n");
    fprintf(stderr,
            "INFO: Replacing %lu out of %lu node(s) with delegate (TfLiteGpuDelegateV2) node, "
            "yielding 1 partitions for the whole graph.\n",
            (unsigned long)n_nodes, (unsigned long)n_nodes);
    say("Explicitly applied GPU delegate, and the model graph will be completely executed by the "
        "delegate.");
    return;
  }
  if (flags.use_gpu == 1) {
    warn("The GPU delegate compile options are only supported on Android or iOS platforms.");
    warn("GPU acceleration is unsupported on this platform.");
  } /* the trap of the real tool: it goes on, and XNNPACK, its default, takes the model */
  if (flags.use_xnnpack == 0) return; /* the numbers are XNNPACK's all the same */
  fprintf(stderr, "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n");
  fprintf(stderr,
          "INFO: Replacing %lu out of %lu node(s) with delegate (TfLiteXNNPackDelegate) node, "
          "yielding 1 partitions.\n",
          (unsigned long)n_nodes, (unsigned long)n_nodes);
  if (flags.use_xnnpack == 1)
    say("Explicitly applied XNNPACK delegate, and the model graph will be completely executed by "
        "the delegate.");
}

/* ---------------------------------------------------------------- runs */

static double resident_mb(void) {
  long pages = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "re");
  if (!file) return 0;
  if (fscanf(file, "%ld %ld", &pages, &resident) != 2) resident = 0;
  fclose(file);
  return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1048576.0;
}

static void announce(int runs, double min_secs) {
  say("Running benchmark for at least %d iterations and at least %g seconds but terminate if "
      "exceeding %g seconds.",
      runs, min_secs, flags.max_secs);
}

static int run(int runs, double min_secs, struct timings *timings) {
  int64_t now = now_us(), enough = now + (int64_t)(min_secs * 1e6);
  int64_t most = now + (int64_t)(flags.max_secs * 1e6);
  for (long i = 0; (i < runs || now < enough) && now <= most; i++) {
    int64_t begin = now_us();
    if (RunCompiledModel(compiled, 0, n_inputs, inputs, n_outputs, outputs)) return -1;
    now = now_us();
    keep(timings, now - begin);
  }
  return 0;
}

/* Numbers that were never measured, the same for the same model: for tests of plumbing only. */
static void make_up(int runs, double min_secs, int64_t typical_us, struct timings *timings) {
  long n = (long)(min_secs * 1e6 / (double)typical_us) + 1;
  if (n < runs) n = runs;
  for (long i = 0; i < n && (double)i * (double)typical_us < flags.max_secs * 1e6; i++)
    keep(timings, typical_us + (i % 7) * (typical_us / 200 + 1));
}

static void pause_ms(double ms) {
  struct timespec time = {(time_t)(ms / 1e3), (long)(fmod(ms, 1e3) * 1e6)};
  nanosleep(&time, NULL);
}

static int is_fault(const char *name, long index) {
  if (strcmp(settings.fault, name)) return 0;
  if (index < settings.fault_after) return 0;
  if (settings.fault_until >= 0 && index >= settings.fault_until) return 0;
  return !settings.only_crc || settings.fault_crc == graph_crc();
}

int main(int n_arguments, char **arguments) {
  struct timings warmup = {0}, timed = {0};
  char text[512];
  long index;
  int made_up;
  double memory_mb = resident_mb(), init_mb;
  int64_t begin, init_us;
  read_settings();
  made_up = !strcmp(settings.mode, "sleep");
  index = note_start(n_arguments, arguments);
  say("STARTING!");
  if (read_flags(n_arguments, arguments)) return fail();
  say_flags();
  if (!flags.graph[0]) {
    complain("Please specify the name of your TF Lite input file with --graph");
    return fail();
  }
  if (read_graph()) {
    fprintf(stderr, "ERROR: Could not open '%s'.\n", flags.graph);
    complain("Failed to mmap model %s", flags.graph);
    return fail();
  }
  if (is_fault("exit1", index)) {
    complain("Failed to allocate tensors!");
    return fail();
  }
  if (is_fault("lowmem", index)) raise(SIGKILL);
  if (graph_bytes < 8 || memcmp(graph + 4, "TFL3", 4)) {
    fprintf(stderr, "ERROR: The model is not a valid Flatbuffer buffer\n");
    complain("Failed to mmap model %s", flags.graph);
    return fail();
  }
  say("Loaded model %s", flags.graph);
  if (made_up) {
    n_nodes = 1;
    begin = now_us() - 1000;
  } else {
    /* The library is part of the real tool: loading it is not part of its numbers. */
    if (load_litert()) return fail();
    memory_mb = resident_mb();
    begin = now_us();
    if (build()) {
      complain("Failed to initialize the interpreter");
      return fail();
    }
  }
  init_us = (int64_t)llround((double)(now_us() - begin) * settings.slow);
  init_mb = resident_mb() - memory_mb;
  say_delegates();
  say("The input model file size (MB): %g", (double)graph_bytes / 1e6);
  say("Initialized session in %gms.", (double)init_us / 1e3);
  if (is_fault("crash", index)) raise(SIGSEGV);

  int64_t typical_us = 500 + (int64_t)(made_up ? graph_crc() % 4500 : 0);
  announce(flags.warmup_runs, flags.warmup_min_secs);
  if (made_up)
    make_up(flags.warmup_runs, flags.warmup_min_secs, typical_us, &warmup);
  else if (run(flags.warmup_runs, flags.warmup_min_secs, &warmup))
    return fail();
  describe(&warmup, text, sizeof text);
  say("%s\n", text);
  if (is_fault("hang", index))
    for (;;) pause();
  announce(flags.num_runs, flags.min_secs);
  if (made_up) {
    pause_ms(settings.sleep_ms);
    make_up(flags.num_runs, flags.min_secs, typical_us, &timed);
  } else if (run(flags.num_runs, flags.min_secs, &timed)) {
    return fail();
  }
  describe(&timed, text, sizeof text);
  if (is_fault("garble", index)) {
    for (size_t i = 0; text[i]; i++) text[i] = (char)(33 + (text[i] * 31 + i * 17) % 94);
    say("%s\n", text);
    say("Inference tim\x1b[2J\xff\xfe%ld\x01", index);
    return EXIT_SUCCESS;
  }
  if (is_fault("truncate", index)) {
    fwrite(text, 1, strlen(text) / 2, stdout);
    return EXIT_SUCCESS;
  }
  say("%s\n", text);
  say("Inference timings in us: Init: %ld, First inference: %ld, Warmup (avg): %g, "
      "Inference (avg): %g",
      (long)init_us, warmup.n ? (long)warmup.us[0] : 0, mean(&warmup), mean(&timed));
  say("Note: as the benchmark tool itself affects memory footprint, the following is only "
      "APPROXIMATE to the actual memory footprint of the model at runtime. Take the information "
      "at your discretion.");
  say("Memory footprint delta from the start of the tool (MB): init=%g overall=%g", init_mb,
      resident_mb() - memory_mb);
  if (flags.report_peak_memory_footprint == 1)
    say("Overall peak memory footprint (MB) via periodic monitoring: %g", resident_mb());
  _exit(EXIT_SUCCESS); /* the library's own endings take longer than the runs */
}
