/* escape: layers=network,seccomp */
package main

import ("net"; "os")

func main() {
	net.Dial("tcp", "127.0.0.1:@PORT@")
	os.Exit(1)
}
