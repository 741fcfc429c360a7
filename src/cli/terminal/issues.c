/* SPDX-License-Identifier: MIT
 *
 * See issues.h.
 */
#include "issues.h"

#include "say.h"

/* A cfg of another program altogether must not bury its own messages. */
enum { MOST = 20 };

void issues_say(const dpf_graph *graph, int training) {
    char text[1024];
    size_t said = 0, more = 0;
    for (size_t i = 0; i < graph->issues_count; i++) {
        const dpf_issue *issue = &graph->issues[i];
        if (issue->who && !(issue->training_only && training))
            continue;
        if (said == MOST) {
            more++;
            continue;
        }
        dpf_graph_issue_text(graph, issue, text, sizeof text);
        say("warning: %s%s", text, issue->who ? " and trains without it" : "");
        said++;
    }
    if (more)
        say("warning: %zu more like these in '%s'", more, graph->cfg->file);
}
