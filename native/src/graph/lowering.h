// From groups of nodes to steps, and a place in the arena for every value.
#pragma once

#include "graph/fusion.h"
#include "graph/plan.h"

namespace onebit {

// Fills the plan's steps, output_values, arena_bytes and scratch_bytes.
void lower(const std::vector<Group>& groups, Plan& plan);

}  // namespace onebit
