package main

import (
	"time"

	"github.com/secgear/secgear/bench/internal/peer"
	"github.com/secgear/secgear/bench/internal/regime"
)

// turn is a contender's part of a round: who does which work for how long.
type turn struct {
	who   string        // secgear, or a peer
	work  string        // as the contender knows it
	slice time.Duration //
	mean  bool          // its value is the mean over the slice, not the median of batches
	burn  bool          // while all processors are also wanted by burners
}

// The contenders.
const (
	ours   = "secgear"
	socket = "uds"
	rpc    = "grpc"

	siteInside  = "https, inside"
	siteOutside = "https, outside"
	// attachedC is the C program whose processes attach to ours's enclave.
	attachedC = "C"
)

// compare makes a line of output from the turns of a group: numerator over
// denominator, by their index, or regime.TheLimit.
type compare struct {
	name     string
	num, den int
	goal     goal
	meaning  string
}

// group is what takes turns with each other.
type group struct {
	name     string
	turns    []turn
	compares []compare
	weight   float64 // of the time that each group gets
}

const (
	brief = 10 * time.Millisecond  // a slice of calls through shared memory
	long  = 20 * time.Millisecond  // of calls through the kernel
	bulk  = 40 * time.Millisecond  // of large messages
	quota = 250 * time.Millisecond // under burners: many of the scheduler's time slices
)

// groups is the plan of everything that is measured in turns.
var groups = []group{
	{
		name: "rtt64", weight: 1.5,
		turns: []turn{
			{who: ours, work: "rtt64", slice: brief},
			{who: socket, work: "rtt64", slice: long},
			{who: rpc, work: "rtt64", slice: long},
		},
		compares: []compare{
			{
				"rtt64_over_limit", 0, regime.TheLimit, atMost(1.3).near(2.0),
				"A call with 64 bytes and its answer, one caller, takes this many times as long as a cache line from one processor to another and back in C. The goal is 2.0 while that takes less than 200 ns, 1.3 otherwise.",
			},
			{
				"uds_over_rtt64", 1, 0, atLeast(25),
				"The same echo over a Unix socket takes this many times as long as the call.",
			},
			{
				"grpc_over_rtt64", 2, 0, atLeast(75),
				"The same echo over gRPC on a Unix socket takes this many times as long as the call.",
			},
		},
	},
	{
		name: "c_rtt64", weight: 1,
		turns: []turn{
			{who: attachedC, work: "rtt64", slice: brief},
			{who: attachedC, work: "together8", slice: bulk, mean: true},
			{who: attachedC, work: "together1", slice: bulk, mean: true},
		},
		compares: []compare{
			{
				"c_rtt64_over_limit", 0, regime.TheLimit, atMost(1.3).near(2.0),
				"A call with 64 bytes and its answer, from a C program that is attached, takes this many times as long as a cache line from one processor to another and back. The goal is 2.0 while that takes less than 200 ns, 1.3 otherwise.",
			},
			{
				"attached_8_over_1", 2, 1, atLeast(0.9),
				"Eight attached processes together get this many times as many calls done as one.",
			},
		},
	},
	{
		name: "rtt4k", weight: 1,
		turns: []turn{
			{who: ours, work: "rtt4k", slice: brief},
			{who: socket, work: "rtt4k", slice: long},
			{who: rpc, work: "rtt4k", slice: long},
		},
		compares: []compare{
			{
				"uds_over_rtt4k", 1, 0, atLeast(8),
				"Echoing 4 KiB over a Unix socket takes this many times as long as by a call that copies them.",
			},
			{
				"grpc_over_rtt4k", 2, 0,
				goal{},
				"Echoing 4 KiB over gRPC takes this many times as long as by a call that copies them.",
			},
		},
	},
	{
		name: "rtt1m", weight: 1.5,
		turns: []turn{
			{who: ours, work: "rtt1m", slice: bulk},
			{who: socket, work: "rtt1m", slice: bulk},
			{who: ours, work: "rtt1m_zerocopy", slice: bulk},
			{who: rpc, work: "rtt1m", slice: bulk},
			{who: ours, work: "rtt1m_copied", slice: bulk},
		},
		compares: []compare{
			{
				"uds_over_rtt1m", 1, 0, atLeast(1.2),
				"Echoing 1 MiB over a Unix socket takes this many times as long as through shared buffers, in pieces of 64 KiB of which four are in flight, copied to the enclave's own memory and back.",
			},
			{
				"rtt1m_zerocopy_over_uds", 2, 1,
				goal{},
				"Filling a shared buffer with 1 MiB, having the enclave change every byte in place and reading it back takes this part of an echo of 1 MiB over a Unix socket. Less is better.",
			},
			{
				"grpc_over_rtt1m", 3, 0,
				goal{},
				"Echoing 1 MiB over gRPC takes this many times as long as through shared buffers.",
			},
			{
				"uds_over_rtt1m_copied", 1, 4,
				goal{},
				"Echoing 1 MiB over a Unix socket takes this many times as long as by one call that takes and returns a slice: memory for it is allocated on both sides.",
			},
		},
	},
	{
		name: "throughput16", weight: 1.5,
		turns: []turn{
			{who: ours, work: "throughput16", slice: long, mean: true},
			{who: socket, work: "throughput16", slice: bulk, mean: true},
			{who: rpc, work: "throughput16", slice: bulk, mean: true},
		},
		compares: []compare{
			{
				"throughput16_over_uds", 1, 0, atLeast(10),
				"16 goroutines that echo 64 bytes get this many times as many calls done as over 16 Unix sockets.",
			},
			{
				"throughput16_over_grpc", 2, 0, atLeast(50),
				"16 goroutines that echo 64 bytes get this many times as many calls done as over gRPC.",
			},
		},
	},
	{
		name: "batch16", weight: 1,
		turns: []turn{
			{who: ours, work: "batch16", slice: brief},
			{who: ours, work: "rtt64", slice: brief},
		},
		compares: []compare{
			{
				"batch16_over_single", 1, 0, atLeast(6),
				"One goroutine that starts 16 calls and then waits for each gets this many times as many calls done as one that waits for each before the next.",
			},
		},
	},
	{
		name: "stream", weight: 1,
		turns: []turn{
			{who: ours, work: "stream", slice: bulk, mean: true},
			{who: socket, work: "stream", slice: bulk, mean: true},
		},
		compares: []compare{
			{
				"stream_over_uds", 1, 0, atLeast(1.5),
				"One stream into the enclave takes this many times as many bytes a second, written 64 KiB at a time, as a Unix socket.",
			},
		},
	},
	{
		name: "streams", weight: 1,
		turns: []turn{
			{who: ours, work: "streams1000", slice: bulk, mean: true},
			{who: socket, work: "streams1000", slice: bulk, mean: true},
		},
		compares: []compare{
			{
				"streams_1000_over_uds", 1, 0, atLeast(1),
				"With a thousand streams open, 16 of them busy with messages of 64 bytes and their answers, this many times as many messages get through as over Unix sockets.",
			},
		},
	},
	{
		name: "https", weight: 1,
		turns: []turn{
			{who: siteInside, work: peer.Requests, slice: bulk, mean: true},
			{who: siteOutside, work: peer.Requests, slice: bulk, mean: true},
		},
		compares: []compare{
			{
				"https_over_tcp", 1, 0, atLeast(0.8),
				"16 connections to a web site that ends TLS inside the enclave, behind a host that copies bytes between TCP and streams, get this many times as many requests answered as to the same site outside.",
			},
		},
	},
	{
		name: "oversubscribed", weight: 2,
		turns: []turn{
			{who: ours, work: "rtt64", slice: quota, mean: true, burn: true},
			{who: socket, work: "rtt64", slice: quota, mean: true, burn: true},
			{who: ours, work: "throughput16", slice: quota, mean: true, burn: true},
			{who: socket, work: "throughput16", slice: quota, mean: true, burn: true},
		},
		compares: []compare{
			{
				"oversubscribed_one_over_uds", 1, 0,
				goal{},
				"While as many other processes as there are processors use all they get, one caller gets this many times as many calls done as over a Unix socket.",
			},
			{
				"oversubscribed_16_over_uds", 3, 2,
				goal{},
				"The same with 16 callers.",
			},
		},
	},
}

// worst is a line made of the worst of other lines.
type worst struct {
	name    string
	of      []string
	goal    goal
	meaning string
}

var oversubscribed = worst{
	"oversubscribed_over_uds",
	[]string{"oversubscribed_one_over_uds", "oversubscribed_16_over_uds"},
	atLeast(1),
	"While the processors are wanted by others too, calls are this many times as fast as a Unix socket: the worse of the two lines before.",
}

// goal is what a value should be. The zero goal is none.
type goal struct {
	least, most *float64
	mostNear    *float64 // instead of most, in regime.Near
}

func atLeast(x float64) goal { return goal{least: &x} }
func atMost(x float64) goal  { return goal{most: &x} }

// near sets another bound for when the processors are near to each other.
func (g goal) near(most float64) goal {
	g.mostNear = &most
	return g
}

// in is the goal that applies in regime r.
func (g goal) in(r regime.Regime) goal {
	if g.mostNear != nil && r == regime.Near {
		return goal{most: g.mostNear}
	}
	return goal{least: g.least, most: g.most}
}

// bound is the goal's number and which side of it is good; nil for no goal.
func (g goal) bound() (*float64, string) {
	switch {
	case g.least != nil:
		return g.least, "at least"
	case g.most != nil:
		return g.most, "at most"
	}
	return nil, ""
}

// met tells whether value reaches the goal; nil for no goal.
func (g goal) met(value float64) *bool {
	var ok bool
	switch {
	case g.least != nil:
		ok = value >= *g.least
	case g.most != nil:
		ok = value <= *g.most
	default:
		return nil
	}
	return &ok
}
