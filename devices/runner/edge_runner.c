/* Times a .tflite file through LiteRT's C API and prints one JSON document with every run.
 *
 * usage: edge_runner --model FILE --library FILE [--runs N] [--warmup N] [--threads N]
 *                    [--input FILE]... [--output PREFIX] [--operators]
 *
 * The library is opened at run time, so that this builds without LiteRT's headers: the declarations below are those of
 * LiteRT 2.3 (litert/c), which differ from other releases; whoever starts this has checked the version. Inputs are zeros,
 * or raw files in the order of the signature; outputs go to PREFIX0, PREFIX1, ...
 *
 * Lines that begin with '#' are progress. The last line is the result, or {"error": ..., "stage": ...} with the stage's
 * exit code. Nothing is destroyed at the end: the process ends, and its start-up and runs are all that is measured. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { MOST_ENDS = 64, MOST_RUNS = 1000000, MOST_THREADS = 256, MOST_EVENTS = 1 << 19 };
enum { ACCELERATOR_CPU = 1, LOCK_READ = 0, LOCK_WRITE = 1 };
enum { OPERATOR_EVENTS = 2 | 4 | 8 }; /* run by the runtime, inside a delegate, by a delegate in place of the runtime */
#define PROGRESS_EVERY_NS INT64_C(1000000000) /* a line costs the next run its warm caches: not one for each run */

typedef struct {
    int32_t element_type;
    uint32_t rank_and_has_strides;
    int32_t dimensions[8];
    uint32_t strides[8];
} TensorType;

typedef struct {
    const char *tag;
    int32_t type;
    uint64_t start_us, elapsed_us;
    size_t memory_before[3], memory_after[3];
    uint64_t metadata[2];
    int32_t source;
} ProfiledEvent;

/* Name and arguments of every function of the library that is called. */
#define LITERT_FUNCTIONS(X)                                                                                            \
    X(CreateEnvironment, (int count, const void *options, void **environment))                                         \
    X(CreateModelFromFile, (void *environment, const char *path, void **model))                                        \
    X(CreateOptions, (void **options))                                                                                 \
    X(SetOptionsHardwareAccelerators, (void *options, int accelerators))                                               \
    X(CreateOpaqueOptions, (const char *name, void *payload, void (*destroy)(void *), void **opaque))                  \
    X(AddOpaqueOptions, (void *options, void *opaque))                                                                 \
    X(CreateCompiledModel, (void *environment, void *model, void *options, void **compiled))                           \
    X(GetModelSignature, (void *model, size_t index, void **signature))                                                \
    X(GetNumSignatureInputs, (void *signature, size_t *count))                                                         \
    X(GetNumSignatureOutputs, (void *signature, size_t *count))                                                        \
    X(GetSignatureInputTensorByIndex, (void *signature, size_t index, void **tensor))                                  \
    X(GetSignatureOutputTensorByIndex, (void *signature, size_t index, void **tensor))                                 \
    X(GetRankedTensorType, (void *tensor, TensorType *type))                                                           \
    X(GetCompiledModelInputBufferRequirements, (void *compiled, size_t signature, size_t index, void **wanted))        \
    X(GetCompiledModelOutputBufferRequirements, (void *compiled, size_t signature, size_t index, void **wanted))       \
    X(CreateManagedTensorBufferFromRequirements,                                                                       \
      (void *environment, const TensorType *type, void *wanted, void **buffer))                                        \
    X(GetTensorBufferPackedSize, (void *buffer, size_t *bytes))                                                        \
    X(LockTensorBuffer, (void *buffer, void **address, int mode))                                                      \
    X(UnlockTensorBuffer, (void *buffer))                                                                              \
    X(RunCompiledModel,                                                                                                \
      (void *compiled, size_t signature, size_t inputs, void **input, size_t outputs, void **output))                  \
    X(CompiledModelGetProfiler, (void *compiled, void **profiler))                                                     \
    X(StartProfiler, (void *profiler))                                                                                 \
    X(StopProfiler, (void *profiler))                                                                                  \
    X(ResetProfiler, (void *profiler))                                                                                 \
    X(GetNumProfilerEvents, (void *profiler, int *count))                                                              \
    X(GetProfilerEvents, (void *profiler, int count, ProfiledEvent *events))

#define DECLARE(name, arguments) static int(*name) arguments;
LITERT_FUNCTIONS(DECLARE)

typedef struct {
    const char *name;
    int code;
} Stage;
static const Stage ARGUMENTS = {"arguments", 2}, LIBRARY = {"library", 3}, MODEL = {"model", 4}, RUN = {"run", 5};

static struct {
    const char *model, *library, *output, *inputs[MOST_ENDS];
    long runs, warmup, threads;
    size_t given_inputs;
    bool operators;
} given = {.runs = 50, .warmup = 5, .threads = 1};

static struct {
    void *compiled, *input[MOST_ENDS], *output[MOST_ENDS], *profiler;
    size_t inputs, outputs;
} loaded;

typedef struct {
    int64_t start_ns, ns;
} Run;

/* A JSON string. Bytes that are not printable ASCII are written as code points of Latin-1: reversible, and always valid. */
static void print_string(const char *text) {
    putchar('"');
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\') printf("\\%c", *at);
        else if (*at < 0x20 || *at > 0x7e) printf("\\u%04x", *at);
        else putchar(*at);
    }
    putchar('"');
}

__attribute__((noreturn, format(printf, 2, 3))) static void fail(Stage stage, const char *format, ...) {
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    printf("{\"error\": ");
    print_string(message);
    printf(", \"stage\": \"%s\"}\n", stage.name);
    fflush(stdout);
    _exit(stage.code);
}

/* Calls a function of the library, and ends with its name and status when it fails. */
#define CALL(stage, name, ...)                                                                                         \
    do {                                                                                                               \
        int status_ = name(__VA_ARGS__);                                                                               \
        if (status_ != 0) fail(stage, "LiteRt" #name " returned status %d", status_);                                  \
    } while (0)

static int64_t now_ns(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) fail(RUN, "the monotonic clock cannot be read: %s", strerror(errno));
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static long number(const char *option, const char *text, long least, long most) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least || value > most)
        fail(ARGUMENTS, "--%s is %s, not a number from %ld to %ld", option, text, least, most);
    return value;
}

static void read_arguments(int count, char **arguments) {
    static const struct option OPTIONS[] = {
        {"model", required_argument, NULL, 'm'},   {"library", required_argument, NULL, 'l'},
        {"runs", required_argument, NULL, 'r'},    {"warmup", required_argument, NULL, 'w'},
        {"threads", required_argument, NULL, 't'}, {"input", required_argument, NULL, 'i'},
        {"output", required_argument, NULL, 'o'},  {"operators", no_argument, NULL, 'p'},
        {NULL, 0, NULL, 0},
    };
    opterr = 0;
    for (int option; (option = getopt_long(count, arguments, "", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 'm': given.model = optarg; break;
        case 'l': given.library = optarg; break;
        case 'r': given.runs = number("runs", optarg, 1, MOST_RUNS); break;
        case 'w': given.warmup = number("warmup", optarg, 0, MOST_RUNS); break;
        case 't': given.threads = number("threads", optarg, 1, MOST_THREADS); break;
        case 'i':
            if (given.given_inputs == MOST_ENDS) fail(ARGUMENTS, "more than %d inputs", MOST_ENDS);
            given.inputs[given.given_inputs++] = optarg;
            break;
        case 'o': given.output = optarg; break;
        case 'p': given.operators = true; break;
        default: fail(ARGUMENTS, "not an option, or one without its value: %s", arguments[optind - 1]);
        }
    }
    if (optind != count) fail(ARGUMENTS, "what is %s?", arguments[optind]);
    if (!given.model || !given.library) fail(ARGUMENTS, "--model and --library are needed");
}

static void open_library(void) {
    void *library = dlopen(given.library, RTLD_NOW | RTLD_LOCAL);
    if (!library) fail(LIBRARY, "%s", dlerror());
#define FIND(name, arguments)                                                                                          \
    *(void **)&name = dlsym(library, "LiteRt" #name);                                                                  \
    if (!name) fail(LIBRARY, "%s has no LiteRt" #name ": it is not LiteRT 2.3", given.library);
    LITERT_FUNCTIONS(FIND)
}

/* Adds an option that LiteRT reads from a line of TOML under `name`. */
static void add_option(void *options, const char *name, const char *line) {
    void *opaque;
    char *copy = strdup(line); /* LiteRT frees it */
    if (!copy) fail(MODEL, "out of memory");
    CALL(MODEL, CreateOpaqueOptions, name, copy, free, &opaque);
    CALL(MODEL, AddOpaqueOptions, options, opaque);
}

static void *buffer_for(void *environment, void *tensor, void *wanted) {
    TensorType type = {0};
    void *buffer;
    CALL(MODEL, GetRankedTensorType, tensor, &type);
    CALL(MODEL, CreateManagedTensorBufferFromRequirements, environment, &type, wanted, &buffer);
    return buffer;
}

static void load_model(void) {
    void *environment, *model, *options, *signature, *tensor, *wanted;
    if (access(given.model, R_OK) != 0) fail(MODEL, "%s: %s", given.model, strerror(errno));
    CALL(MODEL, CreateEnvironment, 0, NULL, &environment);
    CALL(MODEL, CreateModelFromFile, environment, given.model, &model);
    CALL(MODEL, CreateOptions, &options);
    CALL(MODEL, SetOptionsHardwareAccelerators, options, ACCELERATOR_CPU);
    char threads[64];
    snprintf(threads, sizeof threads, "num_threads = %ld\n", given.threads);
    add_option(options, "xnnpack", threads);
    if (given.operators) add_option(options, "runtime_options_string", "enable_profiling = true\n");
    CALL(MODEL, CreateCompiledModel, environment, model, options, &loaded.compiled);
    CALL(MODEL, GetModelSignature, model, 0, &signature);
    CALL(MODEL, GetNumSignatureInputs, signature, &loaded.inputs);
    CALL(MODEL, GetNumSignatureOutputs, signature, &loaded.outputs);
    if (loaded.inputs > MOST_ENDS || loaded.outputs > MOST_ENDS) fail(MODEL, "more than %d inputs or outputs", MOST_ENDS);
    for (size_t index = 0; index < loaded.inputs; index++) {
        CALL(MODEL, GetSignatureInputTensorByIndex, signature, index, &tensor);
        CALL(MODEL, GetCompiledModelInputBufferRequirements, loaded.compiled, 0, index, &wanted);
        loaded.input[index] = buffer_for(environment, tensor, wanted);
    }
    for (size_t index = 0; index < loaded.outputs; index++) {
        CALL(MODEL, GetSignatureOutputTensorByIndex, signature, index, &tensor);
        CALL(MODEL, GetCompiledModelOutputBufferRequirements, loaded.compiled, 0, index, &wanted);
        loaded.output[index] = buffer_for(environment, tensor, wanted);
    }
}

static void read_whole(const char *path, void *address, size_t bytes) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(ARGUMENTS, "%s: %s", path, strerror(errno));
    if (fread(address, 1, bytes, file) != bytes || fgetc(file) != EOF)
        fail(ARGUMENTS, "%s does not hold the %zu bytes of the input", path, bytes);
    fclose(file);
}

static void fill_inputs(void) {
    if (given.given_inputs != 0 && given.given_inputs != loaded.inputs)
        fail(ARGUMENTS, "%zu inputs are given, the model has %zu", given.given_inputs, loaded.inputs);
    for (size_t index = 0; index < loaded.inputs; index++) {
        size_t bytes;
        void *address;
        CALL(RUN, GetTensorBufferPackedSize, loaded.input[index], &bytes);
        CALL(RUN, LockTensorBuffer, loaded.input[index], &address, LOCK_WRITE);
        if (given.given_inputs) read_whole(given.inputs[index], address, bytes);
        else memset(address, 0, bytes);
        CALL(RUN, UnlockTensorBuffer, loaded.input[index]);
    }
}

static void write_outputs(void) {
    for (size_t index = 0; index < loaded.outputs; index++) {
        char path[4096];
        size_t bytes;
        void *address;
        int length = snprintf(path, sizeof path, "%s%zu", given.output, index);
        if (length < 0 || (size_t)length >= sizeof path) fail(ARGUMENTS, "the name of an output is too long");
        CALL(RUN, GetTensorBufferPackedSize, loaded.output[index], &bytes);
        CALL(RUN, LockTensorBuffer, loaded.output[index], &address, LOCK_READ);
        FILE *file = fopen(path, "wb");
        if (!file) fail(RUN, "%s: %s", path, strerror(errno));
        if (fwrite(address, 1, bytes, file) != bytes || fclose(file) != 0) fail(RUN, "%s: %s", path, strerror(errno));
        CALL(RUN, UnlockTensorBuffer, loaded.output[index]);
    }
}

static void run_once(void) {
    CALL(RUN, RunCompiledModel, loaded.compiled, 0, loaded.inputs, loaded.input, loaded.outputs, loaded.output);
}

static void run_all(Run *runs) {
    int64_t last_line_ns = now_ns();
    for (long index = 0; index < given.warmup; index++) run_once();
    for (long index = 0; index < given.runs; index++) {
        runs[index].start_ns = now_ns();
        run_once();
        int64_t end_ns = now_ns();
        runs[index].ns = end_ns - runs[index].start_ns;
        if (end_ns - last_line_ns >= PROGRESS_EVERY_NS) {
            printf("# run %ld of %ld\n", index + 1, given.runs);
            fflush(stdout);
            last_line_ns = end_ns;
        }
    }
}

/* Runs once more for each run, with the profiler on, and prints [tag, type, index, microseconds] of each operator. */
static void print_operators(void) {
    static ProfiledEvent events[MOST_EVENTS];
    CALL(RUN, CompiledModelGetProfiler, loaded.compiled, &loaded.profiler);
    printf(", \"operators\": [");
    for (long run = 0; run < given.runs; run++) {
        int count;
        CALL(RUN, ResetProfiler, loaded.profiler);
        CALL(RUN, StartProfiler, loaded.profiler);
        run_once();
        CALL(RUN, StopProfiler, loaded.profiler);
        CALL(RUN, GetNumProfilerEvents, loaded.profiler, &count);
        if (count < 0 || count > MOST_EVENTS) fail(RUN, "the profiler counts %d events", count);
        CALL(RUN, GetProfilerEvents, loaded.profiler, count, events);
        printf("%s[", run ? ", " : "");
        const char *between = "";
        for (const ProfiledEvent *event = events; event < events + count; event++) {
            if (!(event->type & OPERATOR_EVENTS)) continue;
            printf("%s[", between);
            between = ", ";
            print_string(event->tag ? event->tag : "");
            printf(", %" PRId32 ", %" PRIu64 ", %" PRIu64 "]", event->type, event->metadata[0], event->elapsed_us);
        }
        printf("]");
    }
    printf("]");
}

/* The peak of this process alone; getrusage would give the parent's where that was larger. */
static long peak_rss_kb(void) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long kb = 0;
    if (!file) fail(RUN, "/proc/self/status: %s", strerror(errno));
    while (fgets(line, sizeof line, file) && sscanf(line, "VmHWM: %ld kB", &kb) != 1) continue;
    fclose(file);
    return kb;
}

int main(int count, char **arguments) {
    struct utsname machine;
    read_arguments(count, arguments);
    if (uname(&machine) != 0) fail(RUN, "uname: %s", strerror(errno));
    Run *runs = calloc((size_t)given.runs, sizeof *runs);
    if (!runs) fail(RUN, "out of memory");
    int64_t started_ns = now_ns();
    open_library();
    int64_t opened_ns = now_ns();
    load_model();
    fill_inputs();
    int64_t ready_ns = now_ns();
    run_all(runs);
    if (given.output) write_outputs();
    printf("{\"machine\": ");
    print_string(machine.machine);
    printf(", \"pid\": %ld, \"threads\": %ld, \"warmup\": %ld", (long)getpid(), given.threads, given.warmup);
    printf(", \"runs\": %ld", given.runs);
    printf(", \"dlopen_ms\": %.6f, \"init_ms\": %.6f, \"peak_rss_kb\": %ld, \"runs_ns\": [",
           (double)(opened_ns - started_ns) * 1e-6, (double)(ready_ns - opened_ns) * 1e-6, peak_rss_kb());
    for (long index = 0; index < given.runs; index++)
        printf("%s[%" PRId64 ", %" PRId64 "]", index ? ", " : "", runs[index].start_ns, runs[index].ns);
    printf("]");
    if (given.operators) print_operators();
    printf("}\n");
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : RUN.code;
}
