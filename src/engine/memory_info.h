// How much memory the machine can still give: the basis of the default context and of refusing early.
#pragma once

#include <cstdint>

namespace bantam::engine {

// Bytes that can be used without pushing others out: MemAvailable of /proc/meminfo or what the process's control groups
// still allow, whichever is less, minus a tenth as a margin. A large number where neither can be read.
int64_t available_memory_bytes();

}  // namespace bantam::engine
