/* Which operations nothing orders.
 *
 * Each stream keeps, for every other one, how much of it is ordered before its own next operation: by event waits, by the
 * legacy default stream, and through those again. An operation that touches the same bytes as an earlier one of another stream, one of the
 * two writing, must find it in there, or the host must have waited for it. This depends on neither the mode nor the moment: a race
 * that happened to go well is reported as well.
 *
 * All host threads count as one: what any of them has waited for is ordered before whatever any of them submits later. (How they
 * order themselves among each other can't be seen from here.)
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* -- orders --------------------------------------------------------------------------------------------------------------------- */

void order_add(order *o, place p) {
    if (p.seq <= p.stream->seen) return; /* the host knows it: ordered before everything to come */
    int kept = 0;
    for (int i = 0; i < o->count; i++) {
        if (o->at[i].stream == p.stream) {
            if (o->at[i].seq < p.seq) o->at[i].seq = p.seq;
            return;
        }
        if (o->at[i].seq > o->at[i].stream->seen) kept++;
    }
    if (o->count == o->room && kept < o->count) {
        kept = 0;
        for (int i = 0; i < o->count; i++)
            if (o->at[i].seq > o->at[i].stream->seen) o->at[kept++] = o->at[i];
        o->count = kept;
    }
    if (o->count == o->room) {
        o->room = o->room ? 2 * o->room : 4;
        o->at = realloc(o->at, (size_t)o->room * sizeof *o->at);
        if (!o->at) abort();
    }
    o->at[o->count++] = p;
}

void order_merge(order *o, const order *other) {
    for (int i = 0; i < other->count; i++) order_add(o, other->at[i]);
}

void order_free(order *o) {
    free(o->at);
    *o = (order){0};
}

static uint64_t ordered_of(const order *o, const stream *s) {
    for (int i = 0; i < o->count; i++)
        if (o->at[i].stream == s) return o->at[i].seq;
    return 0;
}

void host_knows(const order *o) {
    for (int i = 0; i < o->count; i++) {
        stream *s = o->at[i].stream;
        if (s->seen < o->at[i].seq) s->seen = o->at[i].seq;
        forget_what_is_seen(s);
    }
}

/* -- the check ------------------------------------------------------------------------------------------------------------------ */

static const char *conflict(const operation *now, const operation *earlier) {
    if (regions_overlap(now->reads, earlier->writes)) return "reads what is written, unordered, by";
    if (regions_overlap(now->writes, earlier->writes)) return "writes what is written, unordered, by";
    if (regions_overlap(now->writes, earlier->reads)) return "writes what is read, unordered, by";
    return NULL;
}

static const char *hazard(const operation *now, const operation *earlier) {
    if (regions_overlap(now->reads, earlier->writes)) return "RAW";
    return regions_overlap(now->writes, earlier->writes) ? "WAW" : "WAR";
}

/* Reports the newest unordered conflict with one other stream: what came before that is mostly the same mistake. */
static void check_against(const stream *s, const operation *o, const stream *other, const operation *list, const operation **worst) {
    uint64_t ordered = ordered_of(&s->before, other);
    for (const operation *q = list; q; q = q->next)
        if (q->seq > ordered && q->seq > other->seen && conflict(o, q)) *worst = q;
}

void check_races(const stream *s, const operation *o) {
    if (!o->reads.rows && !o->writes.rows) return;
    for (const stream *other = first_stream(); other; other = other->next) {
        if (other == s) continue;
        const operation *earlier = NULL;
        check_against(s, o, other, other->past_first, &earlier);
        check_against(s, o, other, other->first, &earlier);
        if (!earlier) continue;
        char now[200], then[200], where[80], there[80];
        describe_operation(o, now, sizeof now);
        describe_operation(earlier, then, sizeof then);
        describe_stream(s, where, sizeof where);
        describe_stream(other, there, sizeof there);
        region common = regions_overlap(o->reads, earlier->writes) ? o->reads : o->writes;
        allocation *a = allocation_at((void *)common.start);
        COUNT(race);
        finding((concerning){CUDASIM_RACE, s, other, o, earlier, a ? a->id : 0}, "%s on allocation #%lu: %s on %s %s %s on %s", hazard(o, earlier),
                a ? a->id : 0, now, where, conflict(o, earlier), then, there);
    }
}

/* cudaFree of cudaMallocAsync's memory doesn't wait: the caller says that everything that touches it has run. */
void check_nobody_uses(const allocation *a) {
    operation freeing = {.kind = OP_FREE, .call = self.call, .to = (void *)a->start, .writes = region_of((void *)a->start, a->size)};
    for (const stream *s = first_stream(); s; s = s->next)
        for (int list = 0; list < 2; list++)
            for (const operation *o = list ? s->first : s->past_first; o; o = o->next) {
                if (o->kind == OP_ALLOCATE || o->seq <= s->seen || !conflict(&freeing, o)) continue;
                char then[200], there[80];
                describe_operation(o, then, sizeof then);
                describe_stream(s, there, sizeof there);
                COUNT(race);
                finding((concerning){CUDASIM_RACE, NULL, s, NULL, o, a->id},
                        "allocation #%lu from cudaMallocAsync is freed without waiting for %s on %s", a->id, then, there);
                return;
            }
}
