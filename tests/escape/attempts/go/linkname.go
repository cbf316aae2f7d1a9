/* escape: layers=always cause=compile_error */
package main

import _ "unsafe"

//go:linkname rawSyscallNoError syscall.rawSyscallNoError
func rawSyscallNoError(trap, a1, a2, a3 uintptr) (r1, r2 uintptr)

func main() {
	rawSyscallNoError(101, 0, 0, 0)
	println("ESCAPED")
}
