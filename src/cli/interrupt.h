// Ctrl+C (SIGINT) and SIGTERM, heard by polling a flag in long work and by a descriptor in waits, so that none is
// missed between the look and the wait. One set per process; any thread may ask.
#pragma once

#include <atomic>

#include "base/result.h"

namespace bantam::cli {

// Before anything else that may be interrupted. A closed pipe and a full quota become failed writes.
void install_signal_handlers();

// Set by either signal. Long work polls it and ends with kCancelled.
std::atomic<bool>& interrupted();
// Whether it was set; clears it, for programs that go on (chat).
bool take_interrupt();
// At this many unheard interrupts the program ends at once; 2 unless set.
void set_interrupt_limit(int presses);
// The Status of interrupted work.
Status interrupted_status();

// Waits until `fd` can be read without waiting (input, its end, or an error). False when interrupted() is set, then or
// meanwhile.
bool wait_for_input(int fd);

}  // namespace bantam::cli
