/* libnvrtc.so.13: a compiler that takes every program and compiles none. cupy compiles a kernel before it launches it, and the launch is
 * where the simulator can say which kernel it was; some have stand-ins there. The declarations are nvrtc.h's, which isn't needed. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum { NVRTC_SUCCESS = 0, NVRTC_ERROR_OUT_OF_MEMORY = 1, NVRTC_ERROR_INVALID_INPUT = 3 } nvrtcResult;

/* A program is the list of its name expressions: templates are asked for by the name that the compiler gives them. */
typedef struct expression {
    struct expression *next;
    char text[];
} expression;
typedef struct { expression *first; } *nvrtcProgram;

static const char image[] = "nothing: a simulated device runs no kernels";

const char *nvrtcGetErrorString(nvrtcResult result) {
    return result == NVRTC_SUCCESS ? "NVRTC_SUCCESS" : result == NVRTC_ERROR_OUT_OF_MEMORY ? "NVRTC_ERROR_OUT_OF_MEMORY" : "NVRTC_ERROR_INVALID_INPUT";
}

nvrtcResult nvrtcVersion(int *major, int *minor) {
    *major = 13, *minor = 0;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetNumSupportedArchs(int *count) {
    *count = 1;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetSupportedArchs(int *archs) {
    archs[0] = 90;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcCreateProgram(nvrtcProgram *out, const char *source, const char *name, int count, const char *const *headers, const char *const *names) {
    (void)source, (void)name, (void)count, (void)headers, (void)names;
    *out = calloc(1, sizeof **out);
    return *out ? NVRTC_SUCCESS : NVRTC_ERROR_OUT_OF_MEMORY;
}

nvrtcResult nvrtcDestroyProgram(nvrtcProgram *program) {
    for (expression *e = (*program)->first, *next; e; e = next) {
        next = e->next;
        free(e);
    }
    free(*program);
    *program = NULL;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int count, const char *const *options) {
    (void)program, (void)count, (void)options;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcAddNameExpression(nvrtcProgram program, const char *text) {
    expression *e = malloc(sizeof *e + strlen(text) + 1);
    if (!e) return NVRTC_ERROR_OUT_OF_MEMORY;
    strcpy(e->text, text);
    e->next = program->first;
    program->first = e;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetLoweredName(nvrtcProgram program, const char *text, const char **out) {
    for (expression *e = program->first; e; e = e->next)
        if (!strcmp(e->text, text)) {
            *out = e->text;
            return NVRTC_SUCCESS;
        }
    return NVRTC_ERROR_INVALID_INPUT;
}

#define IMAGE(name)                                                 \
    nvrtcResult nvrtcGet##name##Size(nvrtcProgram program, size_t *size) { \
        (void)program;                                              \
        *size = sizeof image;                                       \
        return NVRTC_SUCCESS;                                       \
    }                                                               \
    nvrtcResult nvrtcGet##name(nvrtcProgram program, char *out) {   \
        (void)program;                                              \
        memcpy(out, image, sizeof image);                           \
        return NVRTC_SUCCESS;                                       \
    }
IMAGE(PTX)
IMAGE(CUBIN)

nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t *size) {
    (void)program;
    *size = 1;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char *out) {
    (void)program;
    *out = 0;
    return NVRTC_SUCCESS;
}
