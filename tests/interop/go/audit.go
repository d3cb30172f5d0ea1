// Audits a running ledger with the transparency log client of Go's checksum database (golang.org/x/mod/sumdb).
// Nothing of ours judges here: the note, the tree and every proof are checked by that library.
//
//	audit -url http://127.0.0.1:8000/ledger -vkey NAME+ID+KEY -sizes 1,255,256 [-known 255:BASE64,...]
//
// It fetches the checkpoint and opens its note; reads every entry bundle, and rebuilds the published tree from the
// entries; reads the tiles, and compares their trees with the rebuilt ones at every size asked for; proves records in each
// of those trees (all of them in small ones, samples in large ones); proves each smaller tree a prefix of each
// larger one; and compares with the roots it is told it saw before.
//
// The only thing translated is the address of a tile: C2SP tlog-tiles leaves out the height that Go's path has.
//
// Prints "TREE size root" for every size, then "AUDITED ..."; or "REFUSED step: reason" and exits with 1.
package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height     = 8
	width      = 1 << height
	smallTree  = 1000
	maxSamples = 300
)

var (
	base     = flag.String("url", "", "address of the ledger")
	vkey     = flag.String("vkey", "", "verifier key of the ledger")
	sizesArg = flag.String("sizes", "", "tree sizes to audit, besides the published one")
	knownArg = flag.String("known", "", "size:root pairs seen before")
)

var errNotThere = errors.New("not there")

func main() {
	flag.Parse()
	if step, err := audit(); err != nil {
		fmt.Printf("REFUSED %s: %v\n", step, err)
		os.Exit(1)
	}
}

// audit says which step refused, and why.
func audit() (string, error) {
	published, err := openCheckpoint()
	if err != nil {
		return "checkpoint", err
	}
	known, err := parseKnown(*knownArg)
	if err != nil {
		return "arguments", err
	}
	sizes, err := parseSizes(*sizesArg, published.N)
	if err != nil {
		return "arguments", err
	}

	records, err := readRecords(published.N)
	if err != nil {
		return "entries", err
	}
	mirror, err := rebuild(records)
	if err != nil {
		return "entries", err
	}
	if root, err := tlog.TreeHash(published.N, mirror); err != nil || root != published.Hash {
		return "entries", fmt.Errorf("they do not give the published tree (%v)", err)
	}
	reader := &tileReader{saved: map[string][]byte{}}
	tiles := tlog.TileHashReader(published, reader)

	trees := map[int64]tlog.Hash{}
	for _, size := range sizes {
		fromTiles, err := tlog.TreeHash(size, tiles)
		if err != nil {
			return "tiles", err
		}
		fromRecords, err := tlog.TreeHash(size, mirror)
		if err != nil {
			return "entries", err
		}
		// The library does not compare every tile with the one above (it skips as many as the published tree
		// has perfect subtrees), so this is not asked in vain.
		if fromTiles != fromRecords {
			return "tiles", fmt.Errorf("tiles and entries give different trees of size %d", size)
		}
		if root, ok := known[size]; ok && root != fromTiles {
			return "history", fmt.Errorf("the tree of size %d is not the one that was seen before", size)
		}
		trees[size] = fromTiles
		fmt.Printf("TREE %d %v\n", size, fromTiles)
	}
	inclusions, err := checkRecords(sizes, trees, records, tiles)
	if err != nil {
		return "inclusion", err
	}
	consistencies, err := checkTrees(sizes, trees, tiles)
	if err != nil {
		return "consistency", err
	}
	fmt.Printf("AUDITED size %d records %d inclusions %d consistencies %d tiles %d\n",
		published.N, len(records), inclusions, consistencies, len(reader.saved))
	return "", nil
}

// openCheckpoint opens the note with the ledger's key and reads the tree in it.
func openCheckpoint() (tlog.Tree, error) {
	verifier, err := note.NewVerifier(*vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	message, err := get("checkpoint")
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(message, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	first := strings.IndexByte(opened.Text, '\n')
	if opened.Text[:first] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("the checkpoint is of %q", opened.Text[:first])
	}
	// The library reads checkpoints of its own database only: with another first line ours is one.
	return tlog.ParseTree([]byte("go.sum database tree" + opened.Text[first:]))
}

// readRecords reads all entries out of their bundles.
func readRecords(size int64) ([][]byte, error) {
	var records [][]byte
	for int64(len(records)) < size {
		want := size - int64(len(records))
		if want > width {
			want = width
		}
		tile := tlog.Tile{H: height, L: -1, N: int64(len(records)) / width, W: int(want)}
		data, err := getTile(tile)
		if err != nil {
			return nil, err
		}
		for ; want > 0; want-- {
			if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
				return nil, fmt.Errorf("%s ends within an entry", path(tile))
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			records, data = append(records, data[2:end]), data[end:]
		}
	}
	return records, nil
}

// rebuild hashes the records into a tree of its own.
func rebuild(records [][]byte) (tlog.HashReader, error) {
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = hashes[index]
		}
		return found, nil
	})
	for i, record := range records {
		more, err := tlog.StoredHashes(int64(i), record, reader)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, more...)
	}
	return reader, nil
}

// checkRecords proves records to be in each of the trees.
func checkRecords(sizes []int64, trees map[int64]tlog.Hash, records [][]byte, tiles tlog.HashReader) (int, error) {
	checked := 0
	for _, size := range sizes {
		for _, index := range samples(size) {
			proof, err := tlog.ProveRecord(size, index, tiles)
			if err != nil {
				return 0, err
			}
			hash := tlog.RecordHash(records[index])
			if err := tlog.CheckRecord(proof, size, trees[size], index, hash); err != nil {
				return 0, fmt.Errorf("record %d in the tree of size %d: %v", index, size, err)
			}
			if other := tlog.RecordHash(append([]byte("not "), records[index]...)); other != hash &&
				tlog.CheckRecord(proof, size, trees[size], index, other) == nil {
				return 0, fmt.Errorf("any record passes for record %d", index)
			}
			checked++
		}
	}
	return checked, nil
}

// samples gives all records of a small tree; of a large one the ends, the edges of tiles, and some at random.
func samples(size int64) []int64 {
	if size <= smallTree {
		all := make([]int64, size)
		for i := range all {
			all[i] = int64(i)
		}
		return all
	}
	chosen := []int64{0, 1, 2, width - 1, width, width + 1, size/width*width - 1, size - 2, size - 1}
	for len(chosen) < maxSamples {
		chosen = append(chosen, rand.Int63n(size))
	}
	return chosen
}

// checkTrees proves each tree a prefix of each larger one.
func checkTrees(sizes []int64, trees map[int64]tlog.Hash, tiles tlog.HashReader) (int, error) {
	checked := 0
	for i, old := range sizes {
		for _, size := range sizes[i+1:] {
			proof, err := tlog.ProveTree(size, old, tiles)
			if err != nil {
				return 0, err
			}
			if err := tlog.CheckTree(proof, size, trees[size], old, trees[old]); err != nil {
				return 0, fmt.Errorf("from size %d to %d: %v", old, size, err)
			}
			checked++
		}
	}
	return checked, nil
}

type tileReader struct {
	saved map[string][]byte // what the library has found to belong to the published tree
}

func (r *tileReader) Height() int { return height }

func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	read := make([][]byte, len(tiles))
	for i, tile := range tiles {
		data, ok := r.saved[path(tile)]
		if !ok {
			var err error
			if data, err = getTile(tile); err != nil {
				return nil, err
			}
		}
		read[i] = data
	}
	return read, nil
}

func (r *tileReader) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	for i, tile := range tiles {
		r.saved[path(tile)] = data[i]
	}
}

// getTile fetches a tile or a bundle; where a partial one is gone, the beginning of the full one.
func getTile(tile tlog.Tile) ([]byte, error) {
	data, err := get(path(tile))
	if errors.Is(err, errNotThere) && tile.W < width {
		full := tile
		full.W = width
		data, err = get(path(full))
	}
	if err != nil || tile.L < 0 {
		return data, err
	}
	if len(data) < tile.W*tlog.HashSize {
		return nil, fmt.Errorf("%s has %d bytes", path(tile), len(data))
	}
	return data[:tile.W*tlog.HashSize], nil
}

// path is where C2SP tlog-tiles puts what Go calls tile/8/0/001, and tile/8/data/001.
func path(tile tlog.Tile) string {
	parts := strings.SplitN(tile.Path(), "/", 4)
	level := parts[2]
	if level == "data" {
		level = "entries"
	}
	return "tile/" + level + "/" + parts[3]
}

func get(name string) ([]byte, error) {
	response, err := http.Get(*base + "/" + name)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%s: %w", name, errNotThere)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", name, response.Status)
	}
	var body bytes.Buffer
	_, err = io.Copy(&body, response.Body)
	return body.Bytes(), err
}

func parseSizes(text string, published int64) ([]int64, error) {
	sizes := []int64{published}
	for _, each := range strings.FieldsFunc(text, isComma) {
		size, err := strconv.ParseInt(each, 10, 64)
		if err != nil || size < 1 || size > published {
			return nil, fmt.Errorf("no tree of size %s in one of %d", each, published)
		}
		if size != published {
			sizes = append(sizes, size)
		}
	}
	sort.Slice(sizes, func(i, j int) bool { return sizes[i] < sizes[j] })
	return sizes, nil
}

func parseKnown(text string) (map[int64]tlog.Hash, error) {
	known := map[int64]tlog.Hash{}
	for _, each := range strings.FieldsFunc(text, isComma) {
		colon := strings.IndexByte(each, ':')
		if colon < 0 {
			return nil, fmt.Errorf("%q is not size:root", each)
		}
		size, err := strconv.ParseInt(each[:colon], 10, 64)
		if err != nil {
			return nil, err
		}
		if known[size], err = tlog.ParseHash(each[colon+1:]); err != nil {
			return nil, err
		}
	}
	return known, nil
}

func isComma(each rune) bool { return each == ',' }
