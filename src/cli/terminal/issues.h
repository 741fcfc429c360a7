/* SPDX-License-Identifier: MIT
 *
 * Warnings about a cfg that is used although something in it is left out.
 */
#ifndef DPF_CLI_ISSUES_H
#define DPF_CLI_ISSUES_H

#include "../../dpf/model/graph.h"

/* Says every remark of the graph, and with training = 1 what -force lets training leave out. */
void issues_say(const dpf_graph *graph, int training);

#endif
