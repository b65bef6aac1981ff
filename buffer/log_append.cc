// Group commit: whoever finds no commit under way leads, writes for all that wait, and answers
// them.
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "buffer/deflate.h"
#include "buffer/log_impl.h"

namespace holdfast {
namespace {

constexpr std::array<char, 8> kPadding{};

std::uint64_t padded_length(const NewRecord& record) {
  RecordHeader header;
  header.stored_length = static_cast<std::uint32_t>(record.stored.size());
  header.extension_length = static_cast<std::uint32_t>(record.extension.size());
  return header.padded_length();
}

std::uint64_t random_u64() {
  std::uint64_t value = 0;
  if (getrandom(&value, sizeof value, 0) != static_cast<ssize_t>(sizeof value)) {
    value = static_cast<std::uint64_t>(system_clock().unix_ns()) * 0x9E3779B97F4A7C15ULL;
  }
  return value;
}

iovec part_of(std::string_view bytes) { return {const_cast<char*>(bytes.data()), bytes.size()}; }

}  // namespace

AppendOutcome LogImpl::append(std::span<const NewRecord> records) {
  std::uint64_t length = 0;
  for (const NewRecord& record : records) {
    // A reader takes longer ones for damage.
    if (record.stored.size() > kStoredBytesMax || record.extension.size() > kStoredBytesMax) {
      report("a request is larger than a record may be and is refused", options_.directory);
      return AppendOutcome::full;
    }
    length += padded_length(record);
  }
  if (fits_in_no_folder(length)) {  // before it is grouped with others that do fit
    report("a request is larger than the folder may be and is refused", options_.directory);
    return AppendOutcome::full;
  }
  Waiter self;
  self.records = records;
  self.length = length;
  std::unique_lock lock(queue_mutex_);
  queue_.push_back(&self);
  if (leading_) {
    self.changed.wait(lock, [&] { return self.done || self.leads; });
    if (self.done) return self.outcome;
  }
  leading_ = true;
  std::vector<Waiter*> group;
  group.swap(queue_);
  lock.unlock();
  {
    std::lock_guard writer(writer_mutex_);
    commit(group);
  }
  lock.lock();
  for (Waiter* waiter : group) {
    waiter->done = true;
    if (waiter != &self) waiter->changed.notify_one();
  }
  leading_ = !queue_.empty();
  if (leading_) {
    queue_.front()->leads = true;
    queue_.front()->changed.notify_one();
  }
  return self.outcome;
}

void LogImpl::commit(const std::vector<Waiter*>& group) {
  std::vector<const NewRecord*> batch;
  std::uint64_t batch_bytes = 0;
  AppendOutcome outcome = AppendOutcome::stored;
  std::size_t first_open = 0;  // first waiter with a record in the batch
  const std::uint64_t file_bytes_max =
      std::min(options_.file_bytes_max, folder_bytes_for_segments());
  if (active_ && active_->records > 0 &&
      clock_.steady_ns() - active_->created_steady_ns >=
          options_.write_age_max.count() * kNsPerMs) {
    seal_active(options_.durability != Durability::none);
  }

  const auto flush = [&](std::size_t through) {
    if (!batch.empty()) outcome = write_records(batch, batch_bytes);
    for (; first_open < through; ++first_open) group[first_open]->outcome = outcome;
    batch.clear();
    batch_bytes = 0;
  };
  for (std::size_t i = 0; i < group.size() && outcome == AppendOutcome::stored; ++i) {
    // A segment ends between two appends, never inside one: each is stored as a whole or not at
    // all.
    const std::uint64_t length = group[i]->length;
    const std::uint64_t end = active_ ? active_->end : kSegmentHeaderBytes;
    const bool has_records = !batch.empty() || (active_ && active_->records > 0);
    if (has_records && end + batch_bytes + length + kRecordHeaderBytes > file_bytes_max) {
      flush(i);
      if (outcome != AppendOutcome::stored) break;
      if (active_) seal_active(options_.durability != Durability::none);
    }
    for (const NewRecord& record : group[i]->records) batch.push_back(&record);
    batch_bytes += length;
  }
  if (outcome == AppendOutcome::stored) {
    flush(group.size());
  } else {
    for (; first_open < group.size(); ++first_open) group[first_open]->outcome = outcome;
  }
}

AppendOutcome LogImpl::write_records(std::span<const NewRecord* const> records,
                                     std::uint64_t length) {
  // A second try goes to a new segment: a failed sync is never tried again on the same file.
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (const AppendOutcome room = make_room(length); room != AppendOutcome::stored) return room;
    const Status wrote = write_once(records);
    if (wrote.ok()) {
      disk_refused_ = false;
      return AppendOutcome::stored;
    }
    note_error("records cannot be written", wrote.error());
    abandon_active();
    {
      // The numbers are burnt: parts of the failed group may be on the disk under them.
      std::lock_guard lock(mutex_);
      next_seq_ += records.size();
    }
    if (is_out_of_room(wrote.error())) {
      disk_refused_ = true;
      free_checked_ns_ = INT64_MIN;
      refused_for_room(length);
      return AppendOutcome::full;
    }
  }
  return AppendOutcome::failed;
}

Status LogImpl::write_once(std::span<const NewRecord* const> records) {
  const bool fresh = !active_;
  if (fresh) {
    if (Status started = start_segment(); !started) return started;
  }
  const std::int64_t now = clock_.unix_ns();
  const SegmentHeaderBytes segment_header = encode_segment_header(active_->header);
  std::vector<RecordHeaderBytes> headers(records.size());
  std::vector<iovec> parts;
  parts.reserve(records.size() * 4 + 1);
  if (fresh) parts.push_back(part_of({segment_header.data(), segment_header.size()}));
  std::uint64_t end = active_->end;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const NewRecord& record = *records[i];
    RecordHeader header;
    header.codec = record.codec;
    header.stored_length = static_cast<std::uint32_t>(record.stored.size());
    header.extension_length = static_cast<std::uint32_t>(record.extension.size());
    header.payload_crc32c = crc32c(crc32c(0, record.extension), record.stored);
    header.seq = next_seq_ + i;  // only the holder of writer_mutex_ changes next_seq_
    header.received_unix_ns = now;
    header.item_count = record.item_count;
    header.raw_length = record.raw_length;
    header.raw_crc32 = record.raw_crc32;
    header.request_count = record.request_count;
    header.source = record.source;
    headers[i] = encode_record_header(header, active_->header.nonce);
    const std::uint64_t padding = header.padded_length() - kRecordHeaderBytes -
                                  record.extension.size() - record.stored.size();
    parts.push_back(part_of({headers[i].data(), headers[i].size()}));
    if (!record.extension.empty()) parts.push_back(part_of(record.extension));
    if (!record.stored.empty()) parts.push_back(part_of(record.stored));
    if (padding > 0) parts.push_back(part_of({kPadding.data(), padding}));
    end += header.padded_length();
  }
  if (Status wrote = active_->file->pwritev(parts, fresh ? 0 : active_->end); !wrote) return wrote;
  if (options_.durability == Durability::batch) {
    if (Status synced = active_->file->fdatasync(); !synced) return synced;
  } else {
    active_->dirty = true;
  }
  if (fresh && options_.durability != Durability::none) {
    if (Status synced = fs_.sync_directory(options_.directory); !synced) return synced;
  }
  publish(records, end);
  return {};
}

Status LogImpl::start_segment() {
  Active active;
  active.header.segment_id = random_u64();
  active.header.nonce = static_cast<std::uint32_t>(random_u64());
  active.header.first_seq = next_seq_;
  active.header.created_unix_ns = clock_.unix_ns();
  active.header.stream_tag = options_.stream_tag;
  active.header.boot_id = clock_.boot_id();
  active.header.created_boottime_ns = active.header.boot_id != 0 ? clock_.boottime_ns() : 0;
  active.stem = segment_stem(next_seq_, active.header.created_unix_ns);
  active.end = kSegmentHeaderBytes;
  active.created_steady_ns = clock_.steady_ns();
  auto file = fs_.open(path_of(active.stem + ".wip"), FileSystem::Mode::create_new);
  if (!file) return file.error();
  active.file = std::move(*file);
  active_ = std::move(active);
  return {};
}

void LogImpl::publish(std::span<const NewRecord* const> records, std::uint64_t end) {
  DropCounts sum{.records = records.size()};
  std::uint64_t raw = 0;
  for (const NewRecord* record : records) {
    sum.items += record->item_count;
    raw += record->raw_length;
    sum.bytes += record->stored.size();
  }
  active_->end = end;
  active_->items += sum.items;
  active_->records += records.size();
  last_append_ns_ = clock_.steady_ns();
  const bool fresh = active_->records == records.size();
  {
    std::lock_guard lock(mutex_);
    if (fresh) {
      Segment segment;
      segment.first_seq = active_->header.first_seq;
      segment.file = active_->stem + ".wip";
      segment.created_unix_ns = active_->header.created_unix_ns;
      segment.created_steady_ns = active_->created_steady_ns;
      segments_.push_back(std::move(segment));
    }
    Segment& segment = segments_.back();
    next_seq_ += records.size();
    segment.next_seq = next_seq_;
    segment.data_end = end;
    set_allocated_locked(segment, rounded_to_blocks(end, block_bytes_));
    segment.items = active_->items;
    segment.records = active_->records;
    for (const NewRecord* record : records) {
      count_source(segment, {record->source, record->item_count, 1, padded_length(*record)});
    }
    for (const auto& reader : readers_) {
      reader->add_pending_locked(records, sum, reader->skipped_in(segment));
    }
    counters_.appended_items += sum.items;
    counters_.appended_records += records.size();
    counters_.appended_raw_bytes += raw;
    counters_.appended_stored_bytes += sum.bytes;
    ++counters_.commits;
    ++publications_;
    if (options_.durability == Durability::batch) ++counters_.syncs;
  }
  readable_.notify_all();
  if (fresh) {
    want_maintenance_at(active_->created_steady_ns + options_.write_age_max.count() * kNsPerMs);
  }
  if (active_->dirty && options_.durability == Durability::interval) {
    want_maintenance_at(last_sync_ns_ + options_.sync_interval.count() * kNsPerMs);
  }
}

void LogImpl::abandon_active() {
  if (!active_) return;
  // What was acknowledged from it stays readable up to the durable end; nothing more is written to
  // it. What `interval` still owes to the disk is paid now.
  if (active_->dirty) static_cast<void>(active_->file->fdatasync());
  const std::string open_path = path_of(active_->stem + ".wip");
  // Parts of what failed may take room beyond the durable end.
  const auto measured = active_->file->allocated();
  const std::uint64_t allocated =
      measured ? *measured : rounded_to_blocks(active_->end, block_bytes_);
  if (active_->records == 0) {
    {
      std::lock_guard lock(mutex_);
      segments_bytes_ += allocated;
    }
    delete_file(open_path, allocated);
  } else {
    const bool renamed = fs_.rename(open_path, path_of(active_->stem + ".seg")).ok();
    std::lock_guard lock(mutex_);
    segments_.back().sealed = true;
    if (renamed) segments_.back().file = active_->stem + ".seg";
    set_allocated_locked(segments_.back(), allocated);
  }
  active_.reset();
}

}  // namespace holdfast
