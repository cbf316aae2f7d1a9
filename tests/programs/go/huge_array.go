package main

var a [1 << 60]byte

func main() {
	println(a[5])
}
