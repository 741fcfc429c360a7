/* SPDX-License-Identifier: MIT
 *
 * See activation.h. Formulas: Darknet's definitions of its activations; mish (Misra
 * 2019) x tanh(ln(1 + e^x)), swish (Ramachandran 2017) x / (1 + e^-x), hardswish
 * (Howard 2019) x relu6(x + 3) / 6, gelu in the tanh form, relu6 min(max(x, 0), 6).
 */
#include "activation.h"

#include <math.h>

static float logistic(float x) {
    return 1.0f / (1.0f + expf(-x));
}

static float stair(float x) {
    int n = (int)floorf(x);
    return n % 2 == 0 ? floorf(x / 2.0f) : (x - (float)n) + floorf(x / 2.0f);
}

static float clamp(float x, float low, float high) {
    return x < low ? low : x > high ? high : x;
}

static float lhtan(float x) {
    if (x < 0)
        return 0.001f * x;
    return x > 1 ? 0.001f * (x - 1.0f) + 1.0f : x;
}

static float plse(float x) {
    if (x < -4)
        return 0.01f * (x + 4.0f);
    return x > 4 ? 0.01f * (x - 4.0f) + 1.0f : 0.125f * x + 0.5f;
}

static float selu(float x) {
    return x >= 0 ? 1.0507f * x : 1.0507f * 1.6732f * expm1f(x);
}

/* ln(1 + e^x) without overflow. */
static float softplus(float x) {
    return x > 20 ? x : log1pf(expf(x));
}

static float hard_mish(float x) {
    if (x > 0)
        return x;
    return x > -2 ? x * x / 2.0f + x : 0;
}

float dpf_activate(float x, dpf_activation activation) {
    switch (activation) {
    case DPF_LOGISTIC_ACT:
        return logistic(x);
    case DPF_RELU:
        return x > 0 ? x : 0;
    case DPF_RELIE:
        return x > 0 ? x : 0.01f * x;
    case DPF_RAMP:
        return x > 0 ? x + 0.1f * x : 0.1f * x;
    case DPF_TANH:
        return 2.0f / (1.0f + expf(-2.0f * x)) - 1.0f;
    case DPF_PLSE:
        return plse(x);
    case DPF_LEAKY:
        return x > 0 ? x : 0.1f * x;
    case DPF_ELU:
        return x >= 0 ? x : expm1f(x);
    case DPF_LOGGY:
        return 2.0f * logistic(x) - 1.0f;
    case DPF_STAIR:
        return stair(x);
    case DPF_HARDTAN:
        return clamp(x, -1, 1);
    case DPF_LHTAN:
        return lhtan(x);
    case DPF_SELU:
        return selu(x);
    case DPF_RELU6:
        return clamp(x, 0, 6);
    case DPF_MISH:
        return x * tanhf(softplus(x));
    case DPF_SWISH:
        return x * logistic(x);
    case DPF_HARD_MISH:
        return hard_mish(x);
    case DPF_GELU:
        return 0.5f * x * (1.0f + tanhf(0.797885f * x + 0.035677f * x * x * x));
    case DPF_HARDSWISH:
        return x * clamp(x + 3.0f, 0, 6) / 6.0f;
    default:
        return x;
    }
}

float dpf_activation_gradient(float y, dpf_activation activation) {
    switch (activation) {
    case DPF_LOGISTIC_ACT:
        return (1.0f - y) * y;
    case DPF_RELU:
        return y > 0;
    case DPF_RELIE:
        return y > 0 ? 1.0f : 0.01f;
    case DPF_RAMP:
        return (float)(y > 0) + 0.1f;
    case DPF_TANH:
        return 1.0f - y * y;
    case DPF_PLSE:
        return y < 0 || y > 1 ? 0.01f : 0.125f;
    case DPF_LEAKY:
        return y > 0 ? 1.0f : 0.1f;
    case DPF_ELU:
        return y >= 0 ? 1.0f : y + 1.0f;
    case DPF_LOGGY: {
        float p = (y + 1.0f) / 2.0f;
        return 2.0f * (1.0f - p) * p;
    }
    case DPF_STAIR:
        return floorf(y) == y ? 0.0f : 1.0f;
    case DPF_HARDTAN:
        return y > -1 && y < 1 ? 1.0f : 0.0f;
    case DPF_LHTAN:
        return y > 0 && y < 1 ? 1.0f : 0.001f;
    case DPF_SELU:
        return y >= 0 ? 1.0507f : y + 1.0507f * 1.6732f;
    default:
        return 1.0f;
    }
}
