// Drives the router with the frames on standard input and prints, for each, a line of JSON: what came out and when.
//
// Input, as text: "frame n" and n·E logits; "unmarked n" and n·E logits, the last of which does not say so; or "abort m"
// and m logits, after which the router is reset. The argument is the seed of random stalls on both sides, 0 for none.
// Compiled together with a router of the same E, K and W.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "Vrouter.h"

namespace {

constexpr long MOST_CYCLES = 3'000'000;
constexpr uint64_t LOGIT_MASK = (uint64_t{1} << W) - 1;

constexpr unsigned expert_bits() {
    unsigned bits = 0;
    while ((1u << bits) < E) bits++;
    return bits;
}

struct Item {
    bool aborted, marked;
    std::vector<int64_t> logits;
};

struct Fed {
    long first_cycle, last_cycle;
};

void add(std::string& list, const std::string& value) { list += (list.empty() ? "" : ", ") + value; }

class Bench {
public:
    Bench(std::vector<Item> items, unsigned seed) : items_(std::move(items)), stalls_(seed != 0), random_(seed) {
        reset();
    }

    bool run() {
        while (item_ < items_.size() || !fed_.empty()) {
            if (++cycle_ > MOST_CYCLES) return false;
            if (item_ < items_.size() && sent_ == items_[item_].logits.size() && fed_.empty()) {
                reset();  // only an aborted item stays when all of it is sent
                next_item();
            }
            offer();
            take();
            clock();
            if (reading_) read_entry();
        }
        return true;
    }

private:
    bool stall() { return stalls_ && random_() % 3 == 0; }

    void clock() {
        dut_.clk = 1;
        dut_.eval();
        dut_.clk = 0;
        dut_.eval();
    }

    void reset() {
        dut_.reset = 1;
        clock();
        dut_.reset = 0;
        choices_.clear();
    }

    void next_item() {
        item_++;
        sent_ = 0;
    }

    // Puts the next logit on the input, and counts it if the router takes it in this cycle.
    void offer() {
        dut_.in_valid = item_ < items_.size() && sent_ < items_[item_].logits.size() && !stall();
        if (dut_.in_valid) {
            const Item& item = items_[item_];
            dut_.in_logit = static_cast<uint64_t>(item.logits[sent_]) & LOGIT_MASK;
            dut_.in_last = item.marked && sent_ + 1 == item.logits.size();
        }
        dut_.eval();
        if (!dut_.in_valid || !dut_.in_ready) return;
        if (sent_++ == 0) first_cycle_ = cycle_;
        if (!items_[item_].aborted && sent_ == items_[item_].logits.size()) {
            fed_.push_back({first_cycle_, cycle_});
            next_item();
        }
    }

    // Notes the choice of a token; of sorted queues, asks for one entry in each cycle and releases them after the last.
    void take() {
        if (dut_.choice_valid) choices_.push_back(dut_.choice_experts);
        dut_.release_queues = 0;
        reading_ = false;
        if (!dut_.sorted) return;
        if (bounds_.empty()) read_bounds();
        if (entry_ < total_) {
            dut_.entry_index = entry_;
            reading_ = true;
        } else if (!stall()) {
            dut_.release_queues = 1;
            print();
        }
    }

    void read_bounds() {
        sorted_cycle_ = cycle_;
        for (unsigned index = 0; index <= E; index++) {
            dut_.bound_index = index;
            dut_.eval();
            total_ = dut_.bound;
            add(bounds_, std::to_string(total_));
        }
    }

    void read_entry() {
        add(entries_, "[" + std::to_string(dut_.entry_token) + ", " + std::to_string(dut_.entry_rank) + "]");
        entry_++;
    }

    void print() {
        std::string choices;
        for (unsigned token = 0; token < total_ / K; token++) {
            std::string experts;
            for (unsigned rank = 0; rank < K; rank++)
                add(experts, std::to_string(choices_.front() >> (rank * expert_bits()) & ((1u << expert_bits()) - 1)));
            add(choices, "[" + experts + "]");
            choices_.pop_front();
        }
        std::printf("{\"choices\": [%s], \"bounds\": [%s], \"entries\": [%s], \"feed_cycles\": %ld, \"queue_cycles\": %ld}\n",
                    choices.c_str(), bounds_.c_str(), entries_.c_str(),
                    fed_.front().last_cycle - fed_.front().first_cycle + 1, sorted_cycle_ - fed_.front().last_cycle);
        fed_.pop_front();
        bounds_.clear();
        entries_.clear();
        entry_ = 0;
    }

    Vrouter dut_;
    std::vector<Item> items_;
    bool stalls_, reading_ = false;
    std::mt19937 random_;
    std::deque<Fed> fed_;
    std::deque<uint64_t> choices_;
    std::string bounds_, entries_;
    size_t item_ = 0, sent_ = 0;
    unsigned entry_ = 0, total_ = 0;
    long cycle_ = 0, first_cycle_ = 0, sorted_cycle_ = 0;
};

}  // namespace

int main(int, char** argv) {
    std::vector<Item> items;
    std::string word;
    for (size_t count; std::cin >> word >> count;) {
        const bool aborted = word == "abort";
        Item item{aborted, word == "frame", std::vector<int64_t>(aborted ? count : count * E)};
        for (int64_t& logit : item.logits) std::cin >> logit;
        items.push_back(std::move(item));
    }
    return Bench(std::move(items), std::strtoul(argv[1], nullptr, 10)).run() ? 0 : 1;
}
