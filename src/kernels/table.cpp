// Builds each table once and says which of them this machine can run.
#include "kernels/table.h"

#include <array>
#include <string>

#include "base/cpu_features.h"

namespace bantam::kernels {
namespace {

Table make_generic() {
  Table t{.name = "generic"};
  fill_linear_generic(t.linear);
  fill_rows_generic(t.rows);
  fill_attention_generic(t.rows);
  return t;
}

Table make_avx2() {
  Table t = make_generic();
  t.name = "avx2";
  fill_linear_avx2(t.linear);
  fill_rows_avx2(t.rows);
  fill_attention_avx2(t.rows);
  return t;
}

Table make_avx512() {
  Table t = make_avx2();
  t.name = "avx512";
  fill_linear_avx512(t.linear);
  fill_rows_avx512(t.rows);
  fill_attention_avx512(t.rows);
  return t;
}

Table make_amx() {
  Table t = make_avx512();
  t.name = "amx";
  fill_linear_amx(t.linear);
  fill_attention_amx(t.rows);
  return t;
}

struct Available {
  std::array<Table, 4> tables;
  std::array<const Table*, 4> list{};
  size_t count = 0;

  Available() {
    const CpuFeatures& cpu = cpu_features();
    const bool avx512 = cpu.avx512 && cpu.avx512_vnni;
    if (avx512 && cpu.amx_int8) add(make_amx());
    if (avx512) add(make_avx512());
    if (cpu.avx2) add(make_avx2());
    add(make_generic());
  }
  Available(const Available&) = delete;
  Available& operator=(const Available&) = delete;

 private:
  void add(const Table& table) {
    tables[count] = table;
    list[count] = &tables[count];
    ++count;
  }
};

}  // namespace

std::span<const Table* const> available_tables() {
  static const Available available;
  return {available.list.data(), available.count};
}

Result<const Table*> find_table(std::string_view name) {
  const auto tables = available_tables();
  if (name.empty()) return tables.front();
  std::string names;
  for (const Table* t : tables) {
    if (t->name == name) return t;
    if (!names.empty()) names += ", ";
    names += t->name;
  }
  return usage_error("instruction set '{}': expected one of {} on this machine", name, names);
}

}  // namespace bantam::kernels
