//go:build !race

#include "textflag.h"

// func fence()
TEXT ·fence(SB), NOSPLIT, $0-0
	LOCK
	ADDL $0, 0(SP)
	RET

// func spin(a *uint32, av uint32, b *uint32, bv uint32, n uint32)
// Waits until *a == av or *b == bv, at most n pauses. It must be entered
// through a Go function that checks the stack: a loop of assembly alone is a
// loop that the collector can't stop.
TEXT ·spin(SB), NOSPLIT, $0-32
	MOVQ a+0(FP), AX
	MOVL av+8(FP), BX
	MOVQ b+16(FP), CX
	MOVL bv+24(FP), DX
	MOVL n+28(FP), SI
loop:
	PREFETCHT0 64(AX) // the second half of a line, which is wanted next
	PREFETCHT0 64(CX)
	CMPL (AX), BX
	JEQ  done
	CMPL (CX), DX
	JEQ  done
	PAUSE
	SUBL $1, SI
	JNE  loop
done:
	RET
