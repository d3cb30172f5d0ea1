// Judges seals with BouncyCastle, which shares no line with our own code.
//
//   java -cp bcprov.jar:bcpkix.jar:bcutil.jar CheckSeal.java FOLDER...
//
// A folder holds content.bin (the bytes in the /ByteRange), seal.cms (the DER in the gap), anchor.der (the root of
// the seal) and tsa-anchor.der (the root of the time-stamp). Where it holds stamp.tst instead of seal.cms, that is the
// token of a document time-stamp over content.bin. Files crls/*.crl are asked whether anything above was revoked,
// at the time in revocation-at.txt if there is one.
// One line for each folder:
//
//   OK <digest algorithm> <time-stamp>     or     REFUSED <what> <why>

import java.io.ByteArrayInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.Security;
import java.security.cert.CertPathBuilder;
import java.security.cert.CertStore;
import java.security.cert.CertificateFactory;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXBuilderParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509CRL;
import java.security.cert.X509CertSelector;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.Set;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.tsp.TimeStampToken;
import org.bouncycastle.util.Store;

public class CheckSeal {
    public static void main(String[] folders) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        for (String folder : folders) {
            String answer;
            try {
                answer = check(Path.of(folder));
            } catch (Refused refused) {
                answer = "REFUSED " + refused.getMessage();
            } catch (Exception broken) {
                answer = "REFUSED exception " + broken;
            }
            System.out.println(answer.replace('\n', ' '));
        }
    }

    static String check(Path folder) throws Exception {
        byte[] content = Files.readAllBytes(folder.resolve("content.bin"));
        if (Files.exists(folder.resolve("stamp.tst"))) {
            return checkDocumentTimeStamp(folder, content);
        }
        CMSSignedData cms =
            new CMSSignedData(new CMSProcessableByteArray(content), Files.readAllBytes(folder.resolve("seal.cms")));
        require(cms.getSignerInfos().size() == 1, "signers", "not exactly one");
        SignerInformation signer = cms.getSignerInfos().iterator().next();
        X509Certificate sealing = certificateOf(cms.getCertificates(), signer.getSID());

        Attribute stamp = signer.getUnsignedAttributes().get(PKCSObjectIdentifiers.id_aa_signatureTimeStampToken);
        require(stamp != null && stamp.getAttrValues().size() == 1, "time-stamp", "missing");
        TimeStampToken token =
            new TimeStampToken(new CMSSignedData(stamp.getAttrValues().getObjectAt(0).toASN1Primitive().getEncoded()));
        Date stampedAt = token.getTimeStampInfo().getGenTime();

        // Content digest and signature over the signed attributes.
        boolean good;
        try {
            good = signer.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(sealing));
        } catch (Exception exc) {
            throw new Refused("signature " + exc);
        }
        require(good, "signature", "does not verify");
        chain(cms.getCertificates(), sealing, read(folder.resolve("anchor.der")), stampedAt, "chain", folder);

        // The time-stamp is over this signature value, and its own signature and chain hold.
        String digest = token.getTimeStampInfo().getMessageImprintAlgOID().getId();
        byte[] imprint = MessageDigest.getInstance(digest, "BC").digest(signer.getSignature());
        require(
            MessageDigest.isEqual(imprint, token.getTimeStampInfo().getMessageImprintDigest()), "imprint", "differs");
        X509Certificate authority = certificateOf(token.getCertificates(), token.getSID());
        try {
            token.validate(new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(authority));
        } catch (Exception exc) {
            throw new Refused("time-stamp " + exc);
        }
        chain(token.getCertificates(), authority, read(folder.resolve("tsa-anchor.der")), stampedAt, "tsa-chain", folder);
        return "OK " + signer.getDigestAlgOID() + " " + stampedAt.toInstant();
    }

    static String checkDocumentTimeStamp(Path folder, byte[] content) throws Exception {
        TimeStampToken token =
            new TimeStampToken(new CMSSignedData(Files.readAllBytes(folder.resolve("stamp.tst"))));
        Date stampedAt = token.getTimeStampInfo().getGenTime();
        String digest = token.getTimeStampInfo().getMessageImprintAlgOID().getId();
        byte[] imprint = MessageDigest.getInstance(digest, "BC").digest(content);
        require(
            MessageDigest.isEqual(imprint, token.getTimeStampInfo().getMessageImprintDigest()), "imprint", "differs");
        X509Certificate authority = certificateOf(token.getCertificates(), token.getSID());
        try {
            token.validate(new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(authority));
        } catch (Exception exc) {
            throw new Refused("time-stamp " + exc);
        }
        chain(token.getCertificates(), authority, read(folder.resolve("tsa-anchor.der")), stampedAt, "tsa-chain", folder);
        return "OK " + digest + " " + stampedAt.toInstant();
    }

    static void chain(
        Store<X509CertificateHolder> bag, X509Certificate end, X509Certificate anchor, Date at, String what, Path folder)
        throws Exception {
        List<X509Certificate> certificates = new ArrayList<>();
        for (X509CertificateHolder holder : bag.getMatches(null)) {
            certificates.add(convert(holder));
        }
        X509CertSelector target = new X509CertSelector();
        target.setCertificate(end);
        PKIXBuilderParameters parameters = new PKIXBuilderParameters(Set.of(new TrustAnchor(anchor, null)), target);
        parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(certificates)));
        List<X509CRL> lists = lists(folder.resolve("crls"));
        parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(lists)));
        parameters.setRevocationEnabled(!lists.isEmpty());
        Path then = folder.resolve("revocation-at.txt");
        parameters.setDate(Files.exists(then) ? Date.from(java.time.Instant.parse(Files.readString(then))) : at);
        try {
            CertPathBuilder.getInstance("PKIX", "BC").build(parameters);
        } catch (Exception exc) {
            throw new Refused(what + " " + exc);
        }
    }

    static List<X509CRL> lists(Path folder) throws Exception {
        List<X509CRL> lists = new ArrayList<>();
        if (Files.isDirectory(folder)) {
            for (Path path : Files.list(folder).sorted().toList()) {
                lists.add((X509CRL) CertificateFactory.getInstance("X.509", "BC")
                    .generateCRL(new ByteArrayInputStream(Files.readAllBytes(path))));
            }
        }
        return lists;
    }

    static X509Certificate certificateOf(Store<X509CertificateHolder> bag, org.bouncycastle.util.Selector sid)
        throws Exception {
        for (Object found : bag.getMatches(sid)) {
            return convert((X509CertificateHolder) found);
        }
        throw new Refused("certificate missing");
    }

    static X509Certificate convert(X509CertificateHolder holder) throws Exception {
        return new JcaX509CertificateConverter().setProvider("BC").getCertificate(holder);
    }

    static X509Certificate read(Path path) throws Exception {
        return (X509Certificate) CertificateFactory.getInstance("X.509", "BC")
            .generateCertificate(new ByteArrayInputStream(Files.readAllBytes(path)));
    }

    static void require(boolean holds, String what, String why) throws Refused {
        if (!holds) {
            throw new Refused(what + " " + why);
        }
    }

    static class Refused extends Exception {
        Refused(String why) {
            super(why);
        }
    }
}
