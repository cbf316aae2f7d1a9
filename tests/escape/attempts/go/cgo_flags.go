/* escape: layers=always cause=compile_error */
package main

//go:cgo_ldflag "-Wl,--version"
//go:cgo_import_dynamic ptrace ptrace "libc.so.6"

func main() {
	println("ESCAPED")
}
