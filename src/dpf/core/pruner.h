/* SPDX-License-Identifier: MIT
 *
 * The pruner is public: see dpf.h.
 */
#ifndef DPF_CORE_PRUNER_H
#define DPF_CORE_PRUNER_H

#include "../dpf.h"

#endif
