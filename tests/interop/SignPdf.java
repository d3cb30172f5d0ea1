import com.itextpdf.text.Rectangle;
import com.itextpdf.text.pdf.PdfReader;
import com.itextpdf.text.pdf.PdfSignatureAppearance;
import com.itextpdf.text.pdf.PdfStamper;
import com.itextpdf.text.pdf.security.BouncyCastleDigest;
import com.itextpdf.text.pdf.security.LtvTimestamp;
import com.itextpdf.text.pdf.security.LtvVerification;
import com.itextpdf.text.pdf.security.MakeSignature;
import com.itextpdf.text.pdf.security.PrivateKeySignature;
import com.itextpdf.text.pdf.security.TSAClient;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Arrays;
import java.util.Calendar;
import java.util.Collections;
import java.util.Date;
import java.util.Hashtable;
import java.util.List;
import org.apache.pdfbox.cos.COSName;
import org.apache.pdfbox.pdmodel.PDDocument;
import org.apache.pdfbox.pdmodel.interactive.digitalsignature.ExternalSigningSupport;
import org.apache.pdfbox.pdmodel.interactive.digitalsignature.PDSignature;
import org.bouncycastle.asn1.ASN1EncodableVector;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.ASN1Primitive;
import org.bouncycastle.asn1.DERSet;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.cms.AttributeTable;
import org.bouncycastle.asn1.ess.ESSCertIDv2;
import org.bouncycastle.asn1.ess.SigningCertificateV2;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cms.CMSAttributeTableGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.DefaultSignedAttributeTableGenerator;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.SignerInformationStore;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoGeneratorBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.DigestCalculator;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.tsp.TSPAlgorithms;
import org.bouncycastle.tsp.TimeStampRequest;
import org.bouncycastle.tsp.TimeStampRequestGenerator;
import org.bouncycastle.tsp.TimeStampTokenGenerator;

/**
 * Signs one PDF in the ways of two Java libraries: iText (PAdES B-B to B-LTA) and Apache PDFBox (PAdES B-B and B-T, and
 * a signature of the older kind). In the folder that is named: input.pdf, signer.key and tsa.key (PKCS #8),
 * chain-0.der … (the signer first), tsa-0.der …, crl-0.der …; the results are put beside them.
 */
public final class SignPdf {
  private static Path folder;
  private static PrivateKey key;
  private static Certificate[] chain;
  private static List<Certificate> tsaChain;
  private static PrivateKey tsaKey;
  private static List<byte[]> crls;

  public static void main(String[] arguments) throws Exception {
    Security.addProvider(new BouncyCastleProvider());
    folder = Path.of(arguments[0]);
    chain = certificates("chain").toArray(new Certificate[0]);
    tsaChain = certificates("tsa");
    key = privateKey("signer.key", chain[0].getPublicKey().getAlgorithm());
    tsaKey = privateKey("tsa.key", tsaChain.get(0).getPublicKey().getAlgorithm());
    crls = all("crl");
    byte[] input = Files.readAllBytes(folder.resolve("input.pdf"));
    write("itext-B-B", itext(input, null, "Signature1", false));
    byte[] stamped = itext(input, new LocalTsa(), "Signature1", false);
    write("itext-B-T", stamped);
    byte[] longTerm = withEvidence(stamped, "Signature1");
    write("itext-B-LT", longTerm);
    write("itext-B-LTA", archived(longTerm));
    write("itext-twice", itext(stamped, new LocalTsa(), "Signature2", true));
    byte[] box = pdfbox(input, "ETSI.CAdES.detached", false);
    write("pdfbox-B-B", box);
    write("pdfbox-B-T", pdfbox(input, "ETSI.CAdES.detached", true));
    write("pdfbox-pkcs7", pdfbox(input, "adbe.pkcs7.detached", false));
    write("pdfbox-over-itext", pdfbox(longTerm, "ETSI.CAdES.detached", true));
  }

  private static byte[] itext(byte[] pdf, TSAClient tsa, String field, boolean append) throws Exception {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    PdfStamper stamper = PdfStamper.createSignature(new PdfReader(pdf), out, '\0', null, append);
    PdfSignatureAppearance appearance = stamper.getSignatureAppearance();
    appearance.setVisibleSignature(new Rectangle(0, 0, 0, 0), 1, field);
    appearance.setReason("Interoperability");
    MakeSignature.signDetached(appearance, new BouncyCastleDigest(), new PrivateKeySignature(key, "SHA256", "BC"),
        chain, null, null, tsa, 0, MakeSignature.CryptoStandard.CADES);
    return out.toByteArray();
  }

  private static byte[] withEvidence(byte[] pdf, String field) throws Exception {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    PdfStamper stamper = new PdfStamper(new PdfReader(pdf), out, '\0', true);
    LtvVerification verification = stamper.getLtvVerification();
    List<byte[]> certificates = new java.util.ArrayList<>();
    for (Certificate each : chain) certificates.add(each.getEncoded());
    for (Certificate each : tsaChain) certificates.add(each.getEncoded());
    verification.addVerification(field, Collections.<byte[]>emptyList(), crls, certificates);
    stamper.close();
    return out.toByteArray();
  }

  private static byte[] archived(byte[] pdf) throws Exception {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    PdfStamper stamper = PdfStamper.createSignature(new PdfReader(pdf), out, '\0', null, true);
    LtvTimestamp.timestamp(stamper.getSignatureAppearance(), new LocalTsa(), "Archive1");
    return out.toByteArray();
  }

  private static byte[] pdfbox(byte[] pdf, String subFilter, boolean stamp) throws Exception {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (PDDocument document = PDDocument.load(pdf)) {
      PDSignature signature = new PDSignature();
      signature.setFilter(PDSignature.FILTER_ADOBE_PPKLITE);
      signature.setSubFilter(COSName.getPDFName(subFilter));
      signature.setName("Contract seal");
      signature.setSignDate(Calendar.getInstance());
      document.addSignature(signature);
      ExternalSigningSupport signing = document.saveIncrementalForExternalSigning(out);
      signing.setSignature(cms(signing.getContent(), subFilter.startsWith("ETSI"), stamp));
    }
    return out.toByteArray();
  }

  private static byte[] cms(InputStream content, boolean cades, boolean stamp) throws Exception {
    String algorithm = key.getAlgorithm().equals("RSA") ? "SHA256withRSA" : "SHA256withECDSA";
    byte[] digest = MessageDigest.getInstance("SHA-256").digest(chain[0].getEncoded());
    ASN1EncodableVector attributes = new ASN1EncodableVector();
    attributes.add(new Attribute(PKCSObjectIdentifiers.id_aa_signingCertificateV2,
        new DERSet(new SigningCertificateV2(new ESSCertIDv2(digest)))));
    CMSAttributeTableGenerator usual = new DefaultSignedAttributeTableGenerator(new AttributeTable(attributes));
    // EN 319 142-1 §6.3: no signing-time in the CMS, it stands in the signature dictionary.
    CMSAttributeTableGenerator signed = cades
        ? parameters -> usual.getAttributes(parameters).remove(PKCSObjectIdentifiers.pkcs_9_at_signingTime)
        : new DefaultSignedAttributeTableGenerator();
    CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
    generator.addSignerInfoGenerator(new JcaSignerInfoGeneratorBuilder(
        new JcaDigestCalculatorProviderBuilder().setProvider("BC").build())
        .setSignedAttributeGenerator(signed)
        .build(new JcaContentSignerBuilder(algorithm).build(key), (X509Certificate) chain[0]));
    generator.addCertificates(new JcaCertStore(Arrays.asList(chain)));
    CMSSignedData made = generator.generate(new CMSProcessableByteArray(content.readAllBytes()), false);
    if (stamp) {
      SignerInformation signer = made.getSignerInfos().getSigners().iterator().next();
      byte[] token = new LocalTsa().getTimeStampToken(
          MessageDigest.getInstance("SHA-256").digest(signer.getSignature()));
      Hashtable<ASN1ObjectIdentifier, Attribute> unsigned = new Hashtable<>();
      unsigned.put(PKCSObjectIdentifiers.id_aa_signatureTimeStampToken, new Attribute(
          PKCSObjectIdentifiers.id_aa_signatureTimeStampToken, new DERSet(ASN1Primitive.fromByteArray(token))));
      SignerInformation withStamp = SignerInformation.replaceUnsignedAttributes(signer, new AttributeTable(unsigned));
      made = CMSSignedData.replaceSigners(made, new SignerInformationStore(withStamp));
    }
    return made.toASN1Structure().getEncoded("DER");
  }

  /** A time-stamp authority in this process. */
  private static final class LocalTsa implements TSAClient {
    private static long serial = 1;

    public int getTokenSizeEstimate() {
      return 8192;
    }

    public MessageDigest getMessageDigest() throws java.security.GeneralSecurityException {
      return MessageDigest.getInstance("SHA-256");
    }

    public byte[] getTimeStampToken(byte[] imprint) throws Exception {
      String algorithm = tsaKey.getAlgorithm().equals("RSA") ? "SHA256withRSA" : "SHA256withECDSA";
      DigestCalculator digests = new JcaDigestCalculatorProviderBuilder().setProvider("BC").build()
          .get(new org.bouncycastle.asn1.x509.AlgorithmIdentifier(TSPAlgorithms.SHA256));
      TimeStampTokenGenerator generator = new TimeStampTokenGenerator(
          new JcaSimpleSignerInfoGeneratorBuilder().setProvider("BC")
              .build(algorithm, tsaKey, (X509Certificate) tsaChain.get(0)),
          digests, new ASN1ObjectIdentifier("1.2.3.4.1"));
      generator.addCertificates(new JcaCertStore(tsaChain));
      TimeStampRequestGenerator requests = new TimeStampRequestGenerator();
      requests.setCertReq(true);
      TimeStampRequest request = requests.generate(TSPAlgorithms.SHA256, imprint);
      return generator.generate(request, BigInteger.valueOf(serial++), new Date())
          .toCMSSignedData().toASN1Structure().getEncoded("DER");
    }
  }

  private static void write(String name, byte[] pdf) throws Exception {
    Files.write(folder.resolve(name + ".pdf"), pdf);
  }

  private static List<byte[]> all(String kind) throws Exception {
    List<byte[]> found = new java.util.ArrayList<>();
    for (int number = 0; Files.exists(folder.resolve(kind + "-" + number + ".der")); number++) {
      found.add(Files.readAllBytes(folder.resolve(kind + "-" + number + ".der")));
    }
    return found;
  }

  private static List<Certificate> certificates(String kind) throws Exception {
    CertificateFactory factory = CertificateFactory.getInstance("X.509", "BC");
    List<Certificate> found = new java.util.ArrayList<>();
    for (byte[] der : all(kind)) {
      found.add(factory.generateCertificate(new java.io.ByteArrayInputStream(der)));
    }
    return found;
  }

  private static PrivateKey privateKey(String name, String algorithm) throws Exception {
    return KeyFactory.getInstance(algorithm, "BC")
        .generatePrivate(new PKCS8EncodedKeySpec(Files.readAllBytes(folder.resolve(name))));
  }
}
