// `holdfast buffer ls|verify`: looks into a buffer directory without changing it, beside a running
// agent too.
#pragma once

#include <iosfwd>
#include <string>

namespace holdfast {

/// A line for each segment: signal, file, bytes, records, items, age; then cursors and quarantine.
/// Returns the exit code: 0, or 1 when the directory cannot be read.
int list_buffer(const std::string& directory, std::ostream& out);

/// Reads every record and checks both checksums and that its bytes inflate to their length and
/// CRC-32. Ends with a count of what is whole. Exit code 0: all is whole; 1: damage, or unreadable.
/// A torn tail of an open segment is no damage.
int verify_buffer(const std::string& directory, std::ostream& out);

}  // namespace holdfast
